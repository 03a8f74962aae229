//! `cqar watch`: the changes of the registry as they are committed.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use clap::Args;
use cqar_proto::v1::{Event, GetStatusRequest, WatchRequest, watch_response::Step};

use super::{
    ClientArgs,
    client::Connection,
    error::{CliError, Exit},
    output::{self, OutputFormat},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar watch                                     from now on
  cqar watch --from 0                            everything that the log keeps, then from now on
  cqar watch --from 0 --no-follow > log.jsonl    everything up to now, then end
  cqar watch --entity-type market --venue binance
  cqar watch --entity-id 019ab3f0-0000-7000-8000-000000000001 --output json

A line is the event's revision and index, its type, what it is about, by whom, and the fields that
changed; in JSON it is the message Event. After a lost connection the stream goes on where it ended,
so that no event is missed or shown twice. If the registry has another log by then, the command ends
(exit code 5).")]
pub struct WatchArgs {
    /// Start at this revision, inclusive; 0 is the oldest that is kept. Absent: the next one.
    #[arg(long, value_name = "REVISION", value_parser = clap::value_parser!(i64).range(0..))]
    from: Option<i64>,
    /// Only these entity types: asset, chain, venue, `venue_asset`, instrument, market.
    #[arg(long = "entity-type", value_name = "TYPE", value_delimiter = ',')]
    entity_types: Vec<String>,
    /// Only these entities.
    #[arg(long = "entity-id", value_name = "ID", value_delimiter = ',')]
    entity_ids: Vec<String>,
    /// Only these venues.
    #[arg(long = "venue", value_name = "VENUE", value_delimiter = ',')]
    venues: Vec<String>,
    /// End when everything up to now is shown, and on a lost connection.
    #[arg(long)]
    no_follow: bool,
}

/// The pauses between attempts to connect again: a restart takes less than the first few, an outage waits at most the last.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Follows the log.
pub async fn run(args: WatchArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let format = OutputFormat::of_stream(client.output);
    let mut position = WatchRequest {
        start_revision: args.from,
        start_index: 0,
        log_id: String::new(),
        entity_types: args.entity_types,
        entity_ids: args.entity_ids,
        venue_ids: args.venues,
    };
    let mut pause = FIRST_PAUSE;
    let mut connected = false;
    loop {
        let ended = follow(&mut position, client, format, args.no_follow, &mut connected, &mut pause).await;
        let error = match ended {
            Ok(()) => return Ok(Exit::Done),
            Err(error) => error,
        };
        // Whoever was never let in is not kept waiting.
        if args.no_follow || !connected || !error.may_pass() {
            return Err(error);
        }
        eprintln!("{error}; connecting again in {} ms", pause.as_millis());
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Shows the events of one connection, and moves the position on with each of them. Ends only with `no_follow`, at the
/// mark of progress that says that everything up to the revision at its beginning was sent.
async fn follow(
    position: &mut WatchRequest,
    client: &ClientArgs,
    format: OutputFormat,
    no_follow: bool,
    connected: &mut bool,
    pause: &mut Duration,
) -> Result<(), CliError> {
    let server = Connection::open(client, None).await?;
    let newest = if no_follow {
        Some(server.registry().get_status(GetStatusRequest {}).await?.into_inner().revision)
    } else {
        None
    };
    let mut steps = server.events().watch(position.clone()).await?.into_inner();
    while let Some(answer) = steps.message().await? {
        *connected = true;
        *pause = FIRST_PAUSE;
        position.log_id = answer.log_id;
        let Some(step) = answer.step else { continue };
        if let Step::Event(event) = &step {
            show(event, format)?;
        }
        pass(position, &step);
        if let (Step::Progress(revision), Some(newest)) = (step, newest)
            && revision >= newest
        {
            return Ok(());
        }
    }
    Err(CliError::Ended)
}

/// Moves the position on, beyond the step.
fn pass(position: &mut WatchRequest, step: &Step) {
    match step {
        Step::Event(event) => {
            position.start_revision = Some(event.revision);
            position.start_index = event.index.saturating_add(1);
        }
        Step::Progress(revision) => {
            // A mark in the middle of a large revision speaks of the one before: never go back.
            let next = revision.saturating_add(1);
            if position.start_revision.is_none_or(|reached| reached < next) {
                position.start_revision = Some(next);
                position.start_index = 0;
            }
        }
    }
}

fn show(event: &Event, format: OutputFormat) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    if !format.print_next(&mut out, event)? {
        let entity = event.after.as_ref().or(event.before.as_ref());
        let mut line = format!(
            "{} {}.{} {} {} {}",
            output::time(event.commit_time.as_ref()),
            event.revision,
            event.index,
            event.r#type,
            entity.and_then(|it| it.entity.as_ref()).map_or("", |it| it.label()),
            event.entity_id,
        );
        for (name, value) in
            [("venue", &event.venue_id), ("by", &event.actor), ("changed", &event.changed_fields.join(","))]
        {
            if !value.is_empty() {
                line.extend([" ", name, "=", value]);
            }
        }
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_only_moves_on() {
        let mut position = WatchRequest::default();
        let mut after = |step| {
            pass(&mut position, &step);
            (position.start_revision, position.start_index)
        };
        let event = |revision, index| Step::Event(Event { revision, index, ..Event::default() });
        assert_eq!(after(Step::Progress(6)), (Some(7), 0), "what was before it is passed");
        assert_eq!(after(event(7, 255)), (Some(7), 256));
        assert_eq!(after(Step::Progress(6)), (Some(7), 256), "a mark in the middle of revision 7");
        assert_eq!(after(event(7, 256)), (Some(7), 257));
        assert_eq!(after(Step::Progress(7)), (Some(8), 0));
    }
}
