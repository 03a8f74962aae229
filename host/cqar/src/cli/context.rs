//! `cqar context`: servers by name, with what it takes to call each, as kubectl keeps its clusters.

use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde::{Deserialize, Serialize};

use super::{
    ClientArgs, DEFAULT_SERVER,
    error::{CliError, Exit},
    output, server_url,
};
use crate::config::values::Secret;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar --server https://cqar.desk:9090 --ca ca.pem context set prod --api-key-file ~/.cqar/prod-key
  cqar context use prod
  cqar --context staging status
  cqar context list

The file is contexts.yaml in $XDG_CONFIG_HOME/cqar (~/.config/cqar), or what CQAR_CONTEXTS names. An
option, or its variable, goes before what the context says. A context holds no key, but the path of
a file with it.")]
pub struct ContextArgs {
    #[command(subcommand)]
    command: ContextCommand,
}

#[derive(Debug, Subcommand)]
enum ContextCommand {
    /// Shows the contexts; the current one is marked.
    List,
    /// Makes a context the current one.
    Use {
        /// Its name.
        name: String,
    },
    /// Adds a context, or replaces it, by the options --server, --ca, --cert and --key.
    Set {
        /// Its name.
        name: String,
        /// A file with the API key.
        #[arg(long, value_name = "FILE")]
        api_key_file: Option<PathBuf>,
    },
    /// Removes a context.
    Delete {
        /// Its name.
        name: String,
    },
}

/// What it takes to call a server.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Context {
    server: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cert: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<PathBuf>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_file: Option<PathBuf>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contexts {
    /// None where no context is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    current: Option<String>,
    #[serde(default)]
    contexts: BTreeMap<String, Context>,
}

/// Fills what the options and the environment leave open from the context that is named, or the current one.
pub fn complete(mut client: ClientArgs) -> Result<ClientArgs, CliError> {
    let contexts = Contexts::read(&file())?;
    let name = client.context.as_ref().filter(|name| !name.is_empty()).or(contexts.current.as_ref());
    let Some(name) = name else { return Ok(client) };
    let Context { server, ca, cert, key, api_key_file } = contexts.get(name)?.clone();
    if client.api_key.is_none()
        && let Some(path) = api_key_file
    {
        let text = fs::read_to_string(&path).map_err(|source| CliError::Unreadable { path, source })?;
        client.api_key = Some(Secret::from(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
    // A server that was named is another one: what the context has for its own is not shown to it.
    if client.server.is_none() {
        client.server = Some(server);
        client.ca = client.ca.or(ca);
        if client.cert.is_none() && client.key.is_none() {
            (client.cert, client.key) = (cert, key);
        }
    }
    Ok(client)
}

/// Carries it out.
pub fn run(args: ContextArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let file = file();
    let mut contexts = Contexts::read(&file)?;
    match args.command {
        ContextCommand::List => return contexts.show(client),
        ContextCommand::Use { name } => {
            contexts.get(&name)?;
            contexts.current = Some(name);
        }
        ContextCommand::Set { name, api_key_file } => {
            let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            let context = Context {
                server: client.server.clone().unwrap_or_else(|| DEFAULT_SERVER.to_owned()),
                ca: client.ca.as_deref().map(absolute),
                cert: client.cert.as_deref().map(absolute),
                key: client.key.as_deref().map(absolute),
                api_key_file: api_key_file.as_deref().map(absolute),
            };
            contexts.contexts.insert(name.clone(), context);
            // The first one is used at once.
            contexts.current.get_or_insert(name);
        }
        ContextCommand::Delete { name } => {
            contexts.get(&name)?;
            contexts.contexts.remove(&name);
            contexts.current.take_if(|current| *current == name);
        }
    }
    contexts.write(&file)?;
    contexts.show(client)
}

fn file() -> PathBuf {
    let dir = |variable| env::var_os(variable).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    if let Some(file) = dir("CQAR_CONTEXTS") {
        return file;
    }
    let config = dir("XDG_CONFIG_HOME").or_else(|| dir("HOME").map(|home| home.join(".config")));
    config.unwrap_or_default().join("cqar/contexts.yaml")
}

impl Contexts {
    fn read(file: &Path) -> Result<Self, CliError> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(source) => return Err(CliError::Unreadable { path: file.to_owned(), source }),
        };
        let options = serde_saphyr::options! { with_snippet: false };
        let refused = |why: String| CliError::Refused(format!("{}: {why}", file.display()));
        let contexts: Option<Self> =
            serde_saphyr::from_str_with_options(&text, options).map_err(|error| refused(error.to_string()))?;
        let contexts = contexts.unwrap_or_default();
        for (name, context) in &contexts.contexts {
            server_url(&context.server).map_err(|why| refused(format!("the server of {name} {why}")))?;
        }
        Ok(contexts)
    }

    /// Replaces the file as a whole: whoever reads it finds the old one or the new one.
    fn write(&self, file: &Path) -> Result<(), CliError> {
        let text = serde_saphyr::to_string(self).map_err(io::Error::other)?;
        let dir = file.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(dir)?;
        let new = file.with_extension("yaml.new");
        let mut written = fs::File::create(&new)?;
        written.write_all(text.as_bytes())?;
        written.sync_all()?;
        Ok(fs::rename(&new, file)?)
    }

    fn get(&self, name: &str) -> Result<&Context, CliError> {
        self.contexts.get(name).ok_or_else(|| {
            let known: Vec<&str> = self.contexts.keys().map(String::as_str).collect();
            let known =
                if known.is_empty() { "there is none".to_owned() } else { format!("there are {}", known.join(", ")) };
            CliError::Usage(format!("no context is named {name}; {known}: see `cqar context list`"))
        })
    }

    fn show(&self, client: &ClientArgs) -> Result<Exit, CliError> {
        if client.format().print(&serde_json::to_value(self).map_err(io::Error::other)?)? {
            return Ok(Exit::Done);
        }
        let shown = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
        let rows = self.contexts.iter().map(|(name, context)| {
            let mark = if self.current.as_ref() == Some(name) { "*" } else { "" };
            let Context { server, ca, cert, api_key_file, .. } = context;
            [mark.to_owned(), name.clone(), server.clone(), shown(ca), shown(cert), shown(api_key_file)]
        });
        output::table(["", "NAME", "SERVER", "CA", "CERT", "API KEY FILE"], rows)?;
        Ok(Exit::Done)
    }
}
