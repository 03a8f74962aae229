//! `cqar status`: how the server does.

use std::time::Duration;

use clap::Args;
use cqar_proto::v1::{GetStatusRequest, GetStatusResponse, component::State};
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output,
};

/// Between two looks at a server that is not ready yet.
const PAUSE: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar status
  cqar status --output json
  cqar status --wait 30s && cqar list markets
  cqar --server http://10.0.0.7:9090 status

The exit code is 0 if the server serves, with every part or without one that it can do without; 6 if
it is not ready, or does not answer.")]
pub struct StatusArgs {
    /// Wait until the server is ready, for as long as this: 60s unless it is given.
    #[arg(long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "60s", value_parser = cqar_domain::quantity::parse_duration)]
    wait: Option<Duration>,
}

/// Shows the status.
pub async fn run(args: StatusArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let deadline = args.wait.map(|wait| Instant::now().checked_add(wait).unwrap_or_else(far_future));
    let status = loop {
        let asked = match deadline {
            // A server that takes the call and never answers is not waited for beyond the time.
            Some(deadline) => {
                timeout_at(deadline.max(Instant::now() + PAUSE), ask(client)).await.unwrap_or_else(|_| Err(late()))
            }
            None => ask(client).await,
        };
        let may_wait = deadline.is_some_and(|deadline| Instant::now() < deadline);
        match asked {
            Ok(status) if is_ready(&status) || !may_wait => break status,
            // Whoever may not call will not be let in later either.
            Err(error) if !may_wait || !error.may_pass() => return Err(error),
            Ok(_) | Err(_) => sleep(PAUSE).await,
        }
    };
    let exit = if is_ready(&status) { Exit::Done } else { Exit::Unavailable };
    show(status, client)?;
    Ok(exit)
}

/// What no clock reaches while a command runs.
fn far_future() -> Instant {
    const YEAR: Duration = Duration::from_hours(365 * 24);
    Instant::now() + YEAR
}

fn late() -> CliError {
    tonic::Status::deadline_exceeded("the server did not answer in time: see --wait").into()
}

async fn ask(client: &ClientArgs) -> Result<GetStatusResponse, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    Ok(server.registry().get_status(GetStatusRequest {}).await?.into_inner())
}

/// Whether it serves, as its probes say: nothing that it needs has failed.
fn is_ready(status: &GetStatusResponse) -> bool {
    status.components.iter().all(|component| component.state() != State::Failed)
}

fn show(status: GetStatusResponse, client: &ClientArgs) -> Result<(), CliError> {
    if client.format().print(&status)? {
        return Ok(());
    }
    let pairs = [
        ("server", client.server().to_owned()),
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
    Ok(())
}
