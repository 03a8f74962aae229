//! `cqar plugin`: the plugins of the server.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use cqar_proto::v1::{
    CapturePluginRequest, CapturedCall, DisablePluginRequest, EnablePluginRequest, EvaluatePluginRequest,
    GetPluginRequest, LiftPluginRequest, ListPluginsRequest, ListPluginsResponse, Plugin, PluginEvent, PluginFailure,
    ReloadPluginRequest, RemovePluginRequest, ReplayChange, WatchPluginsRequest,
};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT, Plugins},
    error::{CliError, Exit},
    output::{self, OutputFormat},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar plugin list
  cqar plugin get market-sanity
  cqar plugin watch
  cqar plugin disable market-sanity
  cqar plugin evaluate market-sanity case.json
  cqar plugin capture market-sanity --to cases/dear-fee

A plugin is a file NAME.wasm in the directory that the server watches; a new build dropped there
replaces it, and what it would change of the last calls' answers is in `get`. REASON says why the
newest file does not serve, else how the last call that failed did. docs/plugins.md has every state,
and what to do.")]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Lists the plugins, with their state and why a file was refused.
    List,
    /// Shows everything about one plugin.
    Get(Name),
    /// Takes a plugin out of service until it is enabled, over restarts.
    Disable(Name),
    /// Puts a disabled plugin into service again.
    Enable(Name),
    /// Deletes a plugin's files, and forgets what served.
    Remove(Name),
    /// Tries a plugin's files anew, whatever was found out about them.
    Reload(Name),
    /// Lifts the quarantine of builds that were rolled back, so that they are tried again.
    Lift(Name),
    /// Asks the plugin a case, and nothing comes of its answer.
    Evaluate {
        #[command(flatten)]
        name: Name,
        /// A file with the case, such as `cqar plugin capture` writes; `-` is the standard input.
        file: PathBuf,
    },
    /// Writes the newest call of the plugin as a test case: a folder with input.json, output.json and settings.json.
    Capture {
        #[command(flatten)]
        name: Name,
        /// Of this exported function, such as validate, parse or transform.
        #[arg(long, default_value = "")]
        export: String,
        /// The folder, which must not be there; without it the case is printed.
        #[arg(long, value_name = "FOLDER")]
        to: Option<PathBuf>,
    },
    /// Shows what becomes of plugins: first what last did of each, then what does from now on.
    Watch {
        /// Of these alone.
        names: Vec<String>,
    },
}

#[derive(Debug, Args)]
struct Name {
    /// Its name: the file's, without `.wasm`.
    name: String,
}

/// Shows plugins, and does what an operator does with them.
pub async fn run(args: PluginArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let timeout = Some(DEFAULT_TIMEOUT).filter(|_| !matches!(args.command, PluginCommand::Watch { .. }));
    let mut plugins = Connection::open(client, timeout).await?.plugins();
    let plugin = match args.command {
        PluginCommand::List => return list(&mut plugins, client).await,
        PluginCommand::Watch { names } => return watch(&mut plugins, names, client).await,
        PluginCommand::Evaluate { name, file } => return evaluate(&mut plugins, name.name, &file, client).await,
        PluginCommand::Capture { name, export, to } => {
            return capture(&mut plugins, name.name, export, to.as_deref(), client).await;
        }
        PluginCommand::Remove(Name { name }) => {
            plugins.remove_plugin(RemovePluginRequest { name: name.clone() }).await?;
            output::line(&format!("{name} is removed"))?;
            return Ok(Exit::Done);
        }
        PluginCommand::Get(Name { name }) => Some(plugins.get_plugin(GetPluginRequest { name }).await?.into_inner()),
        PluginCommand::Disable(Name { name }) => {
            plugins.disable_plugin(DisablePluginRequest { name }).await?.into_inner().plugin
        }
        PluginCommand::Enable(Name { name }) => {
            plugins.enable_plugin(EnablePluginRequest { name }).await?.into_inner().plugin
        }
        PluginCommand::Reload(Name { name }) => {
            plugins.reload_plugin(ReloadPluginRequest { name }).await?.into_inner().plugin
        }
        PluginCommand::Lift(Name { name }) => {
            plugins.lift_plugin(LiftPluginRequest { name }).await?.into_inner().plugin
        }
    };
    let plugin = plugin.unwrap_or_default();
    if !client.format().print(&plugin)? {
        output::pairs(details(plugin))?;
    }
    Ok(Exit::Done)
}

/// The fields of a plugin, and a line for each thing that became of it.
fn details(mut plugin: Plugin) -> Vec<(String, String)> {
    let history = std::mem::take(&mut plugin.history);
    let failures = std::mem::take(&mut plugin.failures);
    let changes = plugin.replay.as_mut().map(|replay| std::mem::take(&mut replay.changes)).unwrap_or_default();
    let change = |it: &ReplayChange| format!("{} {}: before {}, now {}", it.export, it.input, it.before, it.after);
    let failure = |it: &PluginFailure| format!("{}  {}  {}", output::time(it.fail_time.as_ref()), it.export, it.reason);
    let titled = |title: &str, lines: Vec<String>| {
        let title = title.to_owned();
        lines.into_iter().enumerate().map(move |(n, line)| (if n == 0 { title.clone() } else { String::new() }, line))
    };
    let mut fields = output::fields(&plugin);
    fields.extend(titled("replay.changes", changes.iter().map(change).collect()));
    fields.extend(titled("failures", failures.iter().map(failure).collect()));
    fields.extend(titled("history", history.iter().map(event_line).collect()));
    fields
}

async fn list(plugins: &mut Plugins, client: &ClientArgs) -> Result<Exit, CliError> {
    let mut answer = ListPluginsResponse::default();
    loop {
        let request = ListPluginsRequest { page_size: 1000, page_token: answer.next_page_token };
        let page = plugins.list_plugins(request).await?.into_inner();
        answer.plugins.extend(page.plugins);
        answer.next_page_token = page.next_page_token;
        if answer.next_page_token.is_empty() {
            break;
        }
    }
    if !client.format().print(&answer)? {
        output::table(HEADERS, answer.plugins.into_iter().map(row))?;
    }
    Ok(Exit::Done)
}

async fn watch(plugins: &mut Plugins, names: Vec<String>, client: &ClientArgs) -> Result<Exit, CliError> {
    let format = OutputFormat::of_stream(client.output);
    let mut events = plugins.watch_plugins(WatchPluginsRequest { names }).await?.into_inner();
    while let Some(event) = events.message().await? {
        let mut out = io::stdout().lock();
        if !format.print_next(&mut out, &event)? {
            writeln!(out, "{}", event_line(&event))?;
        }
        out.flush()?;
    }
    Ok(Exit::Done)
}

fn event_line(event: &PluginEvent) -> String {
    let what = output::short(event.r#type().as_str_name(), "TYPE_");
    let hash: String = event.hash.chars().take(12).collect();
    let words = [output::time(event.event_time.as_ref()), event.name.clone(), what, event.version.clone(), hash];
    let said = words.into_iter().chain([event.reason.clone()]).filter(|word| !word.is_empty());
    said.collect::<Vec<_>>().join("  ")
}

async fn evaluate(plugins: &mut Plugins, name: String, file: &Path, client: &ClientArgs) -> Result<Exit, CliError> {
    let mut case = String::new();
    if file == Path::new("-") {
        io::stdin().lock().read_to_string(&mut case)?;
    } else {
        case = fs::read_to_string(file).map_err(|source| CliError::Unreadable { path: file.into(), source })?;
    }
    let answer = plugins.evaluate_plugin(EvaluatePluginRequest { name, case }).await?.into_inner();
    if !client.format().print(&answer)? {
        output::line(&pretty(&answer.output))?;
    }
    Ok(Exit::Done)
}

async fn capture(
    plugins: &mut Plugins,
    name: String,
    export: String,
    to: Option<&Path>,
    client: &ClientArgs,
) -> Result<Exit, CliError> {
    let request = CapturePluginRequest { name: name.clone(), export, count: 1 };
    let answer = plugins.capture_plugin(request).await?.into_inner();
    let Some(call) = answer.calls.first() else {
        eprintln!("no such call of {name} is on record since the start; make one, and capture again");
        return Ok(Exit::NotFound);
    };
    match to {
        Some(folder) => {
            write_case(folder, call).map_err(|error| CliError::Usage(format!("{}: {error}", folder.display())))?;
            let case = folder.join("input.json");
            output::line(&format!("written; ask it again by `cqar plugin evaluate {name} {}`", case.display()))?;
        }
        None if client.format().print(&answer)? => {}
        None => output::line(&pretty(&call.case))?,
    }
    Ok(Exit::Done)
}

/// A case is a folder: what was asked, what was answered, and with which settings.
fn write_case(folder: &Path, call: &CapturedCall) -> io::Result<()> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::create_dir(folder)?;
    for (file, text) in [("input.json", &call.case), ("output.json", &call.output), ("settings.json", &call.settings)] {
        fs::write(folder.join(file), pretty(text) + "\n")?;
    }
    Ok(())
}

/// JSON for people; what is none stays as it is.
fn pretty(json: &str) -> String {
    let value = serde_json::from_str::<serde_json::Value>(json);
    value.and_then(|value| serde_json::to_string_pretty(&value)).unwrap_or_else(|_| json.to_owned())
}

const HEADERS: [&str; 9] = ["NAME", "KIND", "VERSION", "STATE", "GENERATION", "HASH", "CALLS", "FAILED", "REASON"];

fn row(plugin: Plugin) -> [String; 9] {
    let state = output::short(plugin.state().as_str_name(), "STATE_");
    // Enough to tell builds apart; `get` shows all of it.
    let hash = plugin.hash.chars().take(12).collect();
    let reason = if plugin.reason.is_empty() { plugin.last_failure } else { plugin.reason };
    [
        plugin.name,
        plugin.kind,
        plugin.version,
        state,
        plugin.generation.to_string(),
        hash,
        plugin.calls.to_string(),
        plugin.failed_calls.to_string(),
        reason,
    ]
}
