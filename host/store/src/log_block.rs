//! Table `event_log`: the events of a revision, up to [`BLOCK_EVENTS`] of them a row, compressed together. What one says its
//! neighbours mostly say too, so that together they take a fifth of what each takes alone.
//!
//! The events are encoded `cqar.v1.Event`s, each after its length; a row's index is that of the first that it may hold, a
//! multiple of [`BLOCK_EVENTS`]. Rows that were written before there were blocks hold one event, bare, and have its own index.

use bytes::{Buf, Bytes};
use cqar_domain::{
    entity::Revision,
    event::{EventType, LogPosition, LoggedEvent},
    id::{EntityKey, EntityType},
    time::Timestamp,
};
use prost::Message;

use crate::{error::Error, from_row::from_row, value::Value};

/// The most events of one row. More compress little better, and one event is read by unpacking all of its row.
pub(crate) const BLOCK_EVENTS: i32 = 64;

/// As zstd recommends: higher levels gain little here.
const LEVEL: i32 = 3;

pub(crate) const COLUMNS: [&str; 5] = ["revision", "idx", "commit_us", "is_compressed", "events"];

/// A row.
pub(crate) struct BlockRow {
    revision: Revision,
    idx: i32,
    is_compressed: bool,
    events: Vec<u8>,
}

from_row!(BlockRow { revision, idx, is_compressed, events });

/// What an encoded event begins with: all of it that a reader must know without reading the rest.
#[derive(Clone, PartialEq, prost::Message)]
struct EventHead {
    #[prost(int64, tag = "1")]
    revision: i64,
    #[prost(int32, tag = "2")]
    index: i32,
    #[prost(string, tag = "3")]
    event_type: String,
    #[prost(string, tag = "4")]
    entity_type: String,
    #[prost(string, tag = "5")]
    entity_id: String,
    #[prost(string, tag = "6")]
    venue_id: String,
}

/// Where the row begins that holds the position, if any does.
pub(crate) const fn block_start(position: LogPosition) -> LogPosition {
    LogPosition { revision: position.revision, index: position.index - position.index % BLOCK_EVENTS }
}

/// The rows of a revision's events.
pub(crate) fn rows(events: &[LoggedEvent], commit_time: Timestamp) -> Result<Vec<Vec<Value>>, Error> {
    let corrupt = |error: std::io::Error| Error::Corrupt { table: "event_log", reason: error.to_string() };
    let mut compressor = zstd::bulk::Compressor::new(LEVEL).map_err(corrupt)?;
    compressor.include_checksum(true).map_err(corrupt)?;
    let mut packed = Vec::new();
    let blocks = events.chunk_by(|a, b| block_start(a.position) == block_start(b.position));
    blocks
        .map(|block| {
            packed.clear();
            for event in block {
                prost::encode_length_delimiter(event.body.len(), &mut packed).map_err(std::io::Error::from)?;
                packed.extend_from_slice(&event.body);
            }
            let start = block.first().map_or(LogPosition::start_of(0), |first| block_start(first.position));
            Ok(vec![
                Value::Int(start.revision),
                Value::Index(start.index),
                Value::Int(commit_time.micros()),
                Value::Bool(true),
                Value::Bytes(compressor.compress(&packed)?),
            ])
        })
        .collect::<Result<_, std::io::Error>>()
        .map_err(corrupt)
}

impl BlockRow {
    /// The place of its first event.
    pub(crate) const fn start(&self) -> LogPosition {
        LogPosition { revision: self.revision, index: self.idx }
    }

    /// The place after the row.
    pub(crate) const fn next(&self) -> LogPosition {
        LogPosition { revision: self.revision, index: self.idx + 1 }
    }

    /// Its events, in order.
    pub(crate) fn read(self) -> Result<Vec<LoggedEvent>, Error> {
        let place = self.start();
        let corrupt = |reason: String| Error::Corrupt { table: "event_log", reason: format!("{place}: {reason}") };
        if !self.is_compressed {
            return Ok(vec![logged(self.events.into()).map_err(corrupt)?]);
        }
        let unpacked = zstd::stream::decode_all(self.events.as_slice()).map_err(|error| corrupt(error.to_string()))?;
        let mut rest = Bytes::from(unpacked);
        let mut events = Vec::new();
        while rest.has_remaining() {
            let length = prost::decode_length_delimiter(&mut rest).map_err(|error| corrupt(error.to_string()))?;
            if length > rest.len() {
                return Err(corrupt("ends within an event".to_owned()));
            }
            events.push(logged(rest.split_to(length)).map_err(corrupt)?);
        }
        Ok(events)
    }
}

fn logged(body: Bytes) -> Result<LoggedEvent, String> {
    let head = EventHead::decode(body.clone()).map_err(|error| error.to_string())?;
    let event_type =
        EventType::from_name(&head.event_type).ok_or_else(|| format!("type: no value named {}", head.event_type))?;
    let key = EntityType::from_name(&head.entity_type)
        .and_then(|entity_type| EntityKey::parse(entity_type, &head.entity_id).ok())
        .ok_or_else(|| format!("entity: {} {}", head.entity_type, head.entity_id))?;
    let venue = Some(head.venue_id).filter(|venue| !venue.is_empty()).map(|venue| venue.parse()).transpose();
    Ok(LoggedEvent {
        position: LogPosition { revision: head.revision, index: head.index },
        event_type,
        key,
        venue: venue.map_err(|error| format!("venue_id: {error}"))?,
        body,
    })
}
