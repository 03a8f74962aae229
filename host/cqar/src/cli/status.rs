//! `cqar status`: how the server does.

use clap::Args;
use cqar_proto::v1::GetStatusRequest;

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output::{self, OutputFormat},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar status
  cqar status --output json
  cqar --server http://10.0.0.7:9090 status

The exit code is 0 if the server answers, whatever its parts do; 6 if it does not.")]
pub struct StatusArgs {}

/// Shows the status.
pub async fn run(StatusArgs {}: StatusArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let status = server.registry().get_status(GetStatusRequest {}).await?.into_inner();
    if client.format() == OutputFormat::Json {
        output::json(&status)?;
        return Ok(Exit::Done);
    }
    let pairs = [
        ("server", client.server.clone()),
        ("version", status.version),
        ("started", output::time(status.start_time.as_ref())),
        ("log", status.log_id),
        ("revision", status.revision.to_string()),
        ("oldest revision", status.oldest_revision.to_string()),
    ];
    output::pairs(pairs.map(|(name, value)| (name.to_owned(), value)))?;
    let components = status.components.into_iter().map(|component| {
        let state = output::short(component.state().as_str_name(), "STATE_");
        [component.name, state, component.message]
    });
    output::line("")?;
    output::table(["COMPONENT", "STATE", "MESSAGE"], components)?;
    if !status.unresolved.is_empty() {
        let unresolved = status.unresolved.into_iter().map(|symbol| {
            [
                symbol.venue_id,
                symbol.venue_symbol,
                symbol.count.to_string(),
                output::time(symbol.last_request_time.as_ref()),
            ]
        });
        output::line("")?;
        output::table(["VENUE", "UNRESOLVED SYMBOL", "TIMES", "LAST"], unresolved)?;
    }
    Ok(Exit::Done)
}
