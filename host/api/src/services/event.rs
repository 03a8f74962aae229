//! `cqar.v1.EventService`

use std::{collections::HashSet, pin::Pin};

use cqar_domain::{
    event::{LogPosition, LoggedEvent},
    id::EntityType,
    violation::Violations,
};
use cqar_proto::{
    server::event_service_server::EventService,
    v1::{self, ErrorReason, watch_response::Step},
};
use cqar_registry::{Error, WatchFilter, WatchItem, WatchStart};
use futures::{FutureExt, Stream, StreamExt, stream};
use prost::Message;
use tonic::{Code, Request, Response, Status, async_trait};
use uuid::Uuid;

use super::{Api, Reply};
use crate::{
    listen::Peer,
    memory::received,
    reads::check_batch,
    status::{internal, status, watch_status},
    status_builder::StatusBuilder,
};

#[async_trait]
impl EventService for Api {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Reply<Self::WatchStream> {
        let ended = Peer::stream_end(&request);
        let request = received(request)?;
        let log_id = self.registry.log_id();
        check_log(&request.log_id, log_id)?;
        let (start, filter) = read(request).map_err(status)?;
        let log_id = log_id.to_string();
        let steps =
            self.registry.watch(start, filter).map(move |item| step(&log_id, item.map_err(|e| watch_status(&e))?));
        // The stream of a watch has no end of its own: the first error, this one included, is what ends the call.
        let stopped = ended.map(Err).into_stream();
        Ok(Response::new(Box::pin(stream::select(stopped, steps))))
    }
}

fn step(log_id: &str, item: WatchItem) -> Result<v1::WatchResponse, Status> {
    let step = match item {
        WatchItem::Event(LoggedEvent { body, .. }) => {
            Step::Event(v1::Event::decode(body).map_err(|error| internal(&error))?)
        }
        WatchItem::Progress(revision) => Step::Progress(revision),
    };
    Ok(v1::WatchResponse { log_id: log_id.to_owned(), step: Some(step) })
}

fn check_log(asked: &str, current: Uuid) -> Result<(), Status> {
    if asked.is_empty() || Uuid::try_parse(asked) == Ok(current) {
        return Ok(());
    }
    let message = format_args!("the registry's log is {current} now; take a full copy again");
    Err(StatusBuilder::new(Code::FailedPrecondition, ErrorReason::LogChanged, message)
        .with("log_id", current)
        .into_status())
}

fn read(request: v1::WatchRequest) -> Result<(WatchStart, WatchFilter), Error> {
    let v1::WatchRequest { start_revision, start_index, log_id: _, entity_types, entity_ids, venue_ids } = request;
    check_batch("entity_ids", entity_ids.len())?;
    check_batch("venue_ids", venue_ids.len())?;
    let mut found = Violations::default();
    let start = match (start_revision, start_index) {
        (None, 0) => WatchStart::Now,
        (Some(0), 0) => WatchStart::Oldest,
        (Some(revision @ 1..), index @ 0..) => WatchStart::At(LogPosition { revision, index }),
        (Some(..0), _) => {
            found.add("start_revision", "NEGATIVE", "must not be negative");
            WatchStart::Now
        }
        (_, ..0) => {
            found.add("start_index", "NEGATIVE", "must not be negative");
            WatchStart::Now
        }
        (None | Some(0), 1..) => {
            found.add("start_index", "WITHOUT_REVISION", "goes with a start_revision of at least 1");
            WatchStart::Now
        }
    };
    let mut filter = WatchFilter { entity_ids: HashSet::from_iter(entity_ids), ..WatchFilter::default() };
    for (n, name) in entity_types.iter().enumerate() {
        let known = EntityType::from_name(name);
        if known.is_none() {
            let names = EntityType::ALL.map(EntityType::name).join(", ");
            found.add(format!("entity_types[{n}]"), "UNKNOWN_VALUE", format_args!("must be one of {names}"));
        }
        filter.entity_types.extend(known);
    }
    for (n, venue) in venue_ids.iter().enumerate() {
        filter.venues.extend(found.take(&format!("venue_ids[{n}]"), venue.parse()));
    }
    found.into_result().map_err(Error::Invalid)?;
    Ok((start, filter))
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn from(start_revision: Option<i64>, start_index: i32) -> Result<WatchStart, String> {
        let request = v1::WatchRequest { start_revision, start_index, ..Default::default() };
        read(request).map(|(start, _)| start).map_err(|error| match error {
            Error::Invalid(found) => found[0].field.clone(),
            other => panic!("{other}"),
        })
    }

    #[test]
    fn absent_is_now_zero_is_the_oldest_and_a_position_is_itself() {
        assert_eq!(from(None, 0), Ok(WatchStart::Now));
        assert_eq!(from(Some(0), 0), Ok(WatchStart::Oldest));
        assert_eq!(from(Some(7), 2), Ok(WatchStart::At(LogPosition { revision: 7, index: 2 })));
    }

    #[test]
    fn a_start_that_is_no_position_is_refused() {
        assert_eq!(from(Some(-1), 0), Err("start_revision".to_owned()));
        assert_eq!(from(Some(3), -1), Err("start_index".to_owned()));
        assert_eq!(from(None, 1), Err("start_index".to_owned()));
        assert_eq!(from(Some(0), 1), Err("start_index".to_owned()));
    }

    #[test]
    fn every_wrong_filter_is_named() {
        let request = v1::WatchRequest {
            entity_types: vec!["market".into(), "marked".into()],
            venue_ids: vec!["Binance".into(), "okx".into()],
            ..Default::default()
        };
        let Err(Error::Invalid(found)) = read(request) else { panic!("it passed") };
        let fields: Vec<&str> = found.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["entity_types[1]", "venue_ids[0]"]);
    }

    #[test]
    fn a_watch_of_another_log_is_refused_with_this_ones_id() {
        let (this, other) = (Uuid::now_v7(), Uuid::now_v7());
        assert!(check_log("", this).is_ok() && check_log(&this.to_string(), this).is_ok());
        let status = check_log(&other.to_string(), this).unwrap_err();
        let info = status.get_details_error_info().unwrap();
        assert_eq!((status.code(), info.reason.as_str()), (Code::FailedPrecondition, "LOG_CHANGED"));
        assert_eq!(info.metadata["log_id"], this.to_string());
    }
}
