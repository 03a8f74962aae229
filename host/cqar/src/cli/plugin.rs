//! `cqar plugin`: the plugins of the server.

use clap::{Args, Subcommand};
use cqar_proto::v1::{GetPluginRequest, ListPluginsRequest, ListPluginsResponse, Plugin};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar plugin list
  cqar plugin get market-sanity
  cqar plugin list --output json

A plugin is a file NAME.wasm in the directory that the server watches; a new build dropped there
replaces it. REASON says why the newest file does not serve, else how the last call that failed did.")]
pub struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Lists the plugins, with their state and why a file was refused.
    List,
    /// Shows everything about one plugin.
    Get {
        /// Its name: the file's, without `.wasm`.
        name: String,
    },
}

/// Shows plugins.
pub async fn run(args: PluginArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let mut plugins = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?.plugins();
    match args.command {
        PluginCommand::List => {
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
        }
        PluginCommand::Get { name } => {
            let plugin = plugins.get_plugin(GetPluginRequest { name }).await?.into_inner();
            if !client.format().print(&plugin)? {
                output::pairs(output::fields(&plugin))?;
            }
        }
    }
    Ok(Exit::Done)
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
