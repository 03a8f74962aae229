//! Errors as statuses: the one place that says which code and reason a client gets.

use std::{error::Error as StdError, fmt::Display, time::Duration};

use cqar_domain::{
    event::PortError,
    id::{EntityKey, MarketId, Segment, VenueId},
    time::Interval,
    violation::Violation,
};
use cqar_proto::v1::ErrorReason;
use cqar_registry::{Candidate, Error, StoreError, Unresolved, VenueAssetCandidate, WatchError};
use tonic::{Code, Status};
use uuid::Uuid;

use crate::status_builder::StatusBuilder;

/// When to repeat what another write, or a load, stood in the way of.
const RETRY_SOON: Duration = Duration::from_millis(100);
/// When to repeat what a part of the server, or of what it stands on, was away for.
pub(crate) const RETRY_LATER: Duration = Duration::from_secs(1);

/// The most intervals that a `SYMBOL_NOT_LIVE` names.
const MAX_INTERVALS: usize = 10;

/// The status of a refused or failed call.
#[expect(clippy::needless_pass_by_value, reason = "it stands in map_err, which hands the error over")]
pub(crate) fn status(error: Error) -> Status {
    use Code::{Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, Unavailable};
    let message = error.to_string();
    let refuse = |code, reason| StatusBuilder::new(code, reason, &message);
    let status_builder = match &error {
        Error::Invalid(violations) => fields(refuse(InvalidArgument, ErrorReason::InvalidFields), violations),
        Error::RejectedByValidator(findings) => {
            findings.iter().fold(refuse(InvalidArgument, ErrorReason::RefusedByValidator), |it, (field, finding)| {
                it.with_field(field, format_args!("{}: {} ({})", finding.code, finding.message, finding.plugin))
            })
        }
        Error::NotFound { field, key } => about(refuse(NotFound, ErrorReason::EntityNotFound), field, key),
        Error::Deleted { field, key } => about(refuse(FailedPrecondition, ErrorReason::EntityDeleted), field, key),
        Error::AlreadyExists { field, existing, deleted } => {
            about(refuse(AlreadyExists, ErrorReason::EntityExists), field, existing).with("deleted", deleted)
        }
        Error::StaleEtag { field, key, current } => {
            about(refuse(Aborted, ErrorReason::StaleEtag), field, key).with("current_etag", current)
        }
        Error::StillReferenced { field, key, referrers } => {
            let refers = |it: StatusBuilder, by| it.with_precondition(by, format_args!("refers to {key}"));
            referrers.iter().fold(about(refuse(FailedPrecondition, ErrorReason::ReferredTo), field, key), refers)
        }
        Error::OnceReferenced { field, key } => {
            about(refuse(FailedPrecondition, ErrorReason::OnceReferredTo), field, key)
        }
        Error::SymbolUnknown { venue, symbol, segment, elsewhere } => {
            let unknown = symbol_at(refuse(NotFound, ErrorReason::SymbolUnknown), venue, symbol, segment.as_ref());
            in_segments(unknown, elsewhere)
        }
        Error::SymbolNotLive { venue, symbol, at, live } => {
            let status_builder =
                symbol_at(refuse(NotFound, ErrorReason::SymbolNotLive), venue, symbol, None).with("at", at);
            live.iter().take(MAX_INTERVALS).enumerate().fold(status_builder, interval)
        }
        Error::AmbiguousSymbol { what: _, candidates } => {
            candidates.iter().fold(refuse(FailedPrecondition, ErrorReason::AmbiguousSymbol), candidate)
        }
        Error::AmbiguousCode { code, candidates } => candidates
            .iter()
            .fold(refuse(FailedPrecondition, ErrorReason::AmbiguousCode).with("code", code), |it, key| {
                it.with_precondition(key.id(), format_args!("{} with the code {code}", key.entity_type()))
            }),
        Error::CodeUnknown(code) => refuse(NotFound, ErrorReason::CodeUnknown).with("code", code),
        Error::Unresolved(key) => unresolved(key),
        Error::NotListed { instrument_id, code, venue, segment } => {
            let status_builder = refuse(NotFound, ErrorReason::NotListed)
                .with("instrument_id", instrument_id)
                .with("code", code)
                .with("venue_id", venue);
            in_segment(status_builder, segment.as_ref())
        }
        Error::TooManyMarkets { instrument, limit } => refuse(FailedPrecondition, ErrorReason::TooManyMarkets)
            .with("instrument_id", instrument)
            .with("limit", limit),
        Error::TooManyVariants { asset } => {
            refuse(FailedPrecondition, ErrorReason::TooManyVariants).with("asset_id", asset)
        }
        Error::RequestIdReused => {
            refuse(InvalidArgument, ErrorReason::RequestIdReused).with_field("request_id", &message)
        }
        Error::TooManyBytes { bytes, limit } => {
            refuse(Code::ResourceExhausted, ErrorReason::AnswerTooLarge).with("bytes", bytes).with("max_bytes", limit)
        }
        Error::RefusedTooOften { rounds, last: _ } => {
            refuse(InvalidArgument, ErrorReason::RefusedByValidator).with("rounds", rounds)
        }
        Error::CallerLeft => refuse(Code::Cancelled, ErrorReason::CallFailed),
        Error::AnswerNotKept { revision } => {
            refuse(FailedPrecondition, ErrorReason::AnswerNotKept).with("revision", revision)
        }
        Error::Contended => refuse(Aborted, ErrorReason::Contended).retry_after(RETRY_SOON),
        Error::StaleListing { venue, segment, newest, observed } => {
            refuse(FailedPrecondition, ErrorReason::StaleListing)
                .with("venue_id", venue)
                .with("segment", segment)
                .with("newest_time", newest)
                .with("observed_time", observed)
        }
        Error::PluginNotServing { plugin, reason: _ } => {
            refuse(Unavailable, ErrorReason::PluginNotServing).with("plugin", plugin).retry_after(RETRY_LATER)
        }
        Error::PluginFailed { plugin, reason: _ } => {
            refuse(Unavailable, ErrorReason::PluginFailed).with("plugin", plugin).retry_after(RETRY_LATER)
        }
        Error::PluginNotFound { plugin } => {
            refuse(NotFound, ErrorReason::PluginNotFound).with_resource("plugin", plugin)
        }
        Error::PluginOperationRefused { plugin, reason: _ } => {
            refuse(FailedPrecondition, ErrorReason::PluginOperationRefused).with("plugin", plugin)
        }
        Error::RevisionNotReached { wanted, applied } => refuse(Unavailable, ErrorReason::RevisionNotReached)
            .with("wanted_revision", wanted)
            .with("applied_revision", applied)
            .retry_after(RETRY_SOON),
        Error::Store(error) => return store_status(error),
    };
    status_builder.into_status()
}

/// With the segments in which there is something.
fn in_segments(status_builder: StatusBuilder, segments: &[Segment]) -> StatusBuilder {
    if segments.is_empty() {
        return status_builder;
    }
    let names: Vec<&str> = segments.iter().map(Segment::quoted).collect();
    status_builder.with("segments", names.join(", "))
}

/// Nothing that is registered has the key.
fn unresolved(key: &Unresolved) -> StatusBuilder {
    use Code::{FailedPrecondition, NotFound};
    let message = key.to_string();
    let refuse = |code, reason| StatusBuilder::new(code, reason, &message);
    match key {
        Unresolved::Name(entity_type, name) => {
            refuse(NotFound, ErrorReason::EntityNotFound).with_resource(entity_type.name(), name)
        }
        Unresolved::Caip2(caip2) => refuse(NotFound, ErrorReason::ChainUnknown).with("caip2", caip2),
        Unresolved::Deployment { chain, address } => {
            refuse(NotFound, ErrorReason::DeploymentUnknown).with("chain_id", chain).with("address", address)
        }
        Unresolved::VenueAsset { venue, code, segment } => {
            let unknown = refuse(NotFound, ErrorReason::VenueAssetUnknown).with("venue_id", venue).with("code", code);
            in_segment(unknown, segment.as_ref())
        }
        Unresolved::AmbiguousVenueAsset { venue, code, candidates } => {
            let ambiguous =
                refuse(FailedPrecondition, ErrorReason::AmbiguousVenueAsset).with("venue_id", venue).with("code", code);
            candidates.iter().fold(ambiguous, |it, candidate| {
                let VenueAssetCandidate { venue_asset, segment, asset } = candidate;
                it.with_precondition(venue_asset, format_args!("asset {asset} in segment {}", segment.quoted()))
            })
        }
        Unresolved::Network { venue, code, network, known } => refuse(NotFound, ErrorReason::NetworkUnknown)
            .with("venue_id", venue)
            .with("code", code)
            .with("network", network)
            .with("networks", known.join(", ")),
        Unresolved::Identifier { source_name, external_id } => refuse(NotFound, ErrorReason::IdentifierUnknown)
            .with("source", source_name)
            .with("external_id", external_id),
        Unresolved::Caip19(caip19) => refuse(NotFound, ErrorReason::DeploymentUnknown).with("caip19", caip19),
    }
}

/// Why a watch ended.
pub(crate) fn watch_status(error: &WatchError) -> Status {
    let refuse = |code, reason| StatusBuilder::new(code, reason, error);
    let status_builder = match error {
        WatchError::Compacted { oldest } => {
            refuse(Code::OutOfRange, ErrorReason::LogCompacted).with("oldest_revision", oldest)
        }
        WatchError::Future { newest } => {
            refuse(Code::OutOfRange, ErrorReason::RevisionNotMade).with("newest_revision", newest)
        }
        WatchError::Unavailable(error) => return port_status(error),
        WatchError::Stopping => return shutting_down(),
    };
    status_builder.into_status()
}

/// The server is going away; another one, or this one in a while, goes on.
pub(crate) fn shutting_down() -> Status {
    StatusBuilder::new(Code::Unavailable, ErrorReason::ShuttingDown, "the server is shutting down")
        .retry_after(RETRY_LATER)
        .into_status()
}

/// A stream ends with its connection, which clients make anew from time to time.
pub(crate) fn connection_old() -> Status {
    let message = "the connection has lasted as long as connections do; go on from the last position, over another one";
    StatusBuilder::new(Code::Unavailable, ErrorReason::ConnectionOld, message).retry_after(Duration::ZERO).into_status()
}

/// INTERNAL with an id. The cause is logged under that id, once, and is not told to the client.
pub(crate) fn internal(error: &(dyn StdError + 'static)) -> Status {
    let id = Uuid::now_v7();
    tracing::error!(request_id = %id, error, "call failed");
    StatusBuilder::new(Code::Internal, ErrorReason::InternalError, format_args!("internal error {id}"))
        .with("error_id", id)
        .into_status()
}

/// The error of one wrong field.
pub(crate) fn invalid(field: &str, code: &str, message: impl Display) -> Error {
    Error::Invalid(wrong(field, code, message))
}

/// One wrong field.
pub(crate) fn wrong(field: &str, code: &str, message: impl Display) -> Vec<Violation> {
    vec![Violation { field: field.to_owned(), code: code.to_owned(), message: message.to_string() }]
}

/// Refuses a field that is set, and that this server does not act on yet: it is never ignored.
pub(crate) fn not_supported(field: &str, is_set: bool) -> Result<(), Status> {
    if !is_set {
        return Ok(());
    }
    let message = format_args!("{field} is part of the contract, and this server does not act on it yet; leave it out");
    let refused = StatusBuilder::new(Code::Unimplemented, ErrorReason::FieldNotSupported, message);
    Err(refused.with("field", field).with_field(field, "NOT_SUPPORTED: must be left out").into_status())
}

/// The status of a request whose fields cannot be read.
pub(crate) fn malformed(found: Vec<Violation>) -> Status {
    status(Error::Invalid(found))
}

fn store_status(error: &StoreError) -> Status {
    if let StoreError::TooManyWrites { waiting } = error {
        StatusBuilder::new(Code::ResourceExhausted, ErrorReason::TooManyWrites, format_args!("{error}; try again"))
            .with("waiting", waiting)
            .retry_after(RETRY_LATER)
            .into_status()
    } else if let StoreError::Constraint { name, .. } = error {
        // The core's rules are to be stricter than the schema's: an operator should know where they are not.
        tracing::error!(error = error as &dyn StdError, "constraint_violated");
        StatusBuilder::new(Code::FailedPrecondition, ErrorReason::ConstraintViolated, error)
            .with("constraint", name)
            .into_status()
    } else if error.is_unavailable() {
        tracing::debug!(error = error as &dyn StdError, "database unavailable");
        let message = match error {
            StoreError::ReadOnly(_) | StoreError::WritesFail { .. } | StoreError::TurnTooLate { .. } => {
                error.to_string()
            }
            _ => "the database does not answer; try again".to_owned(),
        };
        StatusBuilder::new(Code::Unavailable, ErrorReason::DatabaseUnavailable, message)
            .retry_after(RETRY_LATER)
            .into_status()
    } else {
        internal(error)
    }
}

fn port_status(error: &PortError) -> Status {
    match error.source().and_then(|cause| cause.downcast_ref::<StoreError>()) {
        Some(cause) => store_status(cause),
        None => internal(error),
    }
}

fn fields(status_builder: StatusBuilder, violations: &[Violation]) -> StatusBuilder {
    violations.iter().fold(status_builder, |it, violation| {
        it.with_field(&violation.field, format_args!("{}: {}", violation.code, violation.message))
    })
}

/// What the refusal is about, and where the request named it.
fn about(status_builder: StatusBuilder, field: &str, key: &EntityKey) -> StatusBuilder {
    let status_builder = status_builder.with_resource(key.entity_type().name(), key.id());
    if field.is_empty() { status_builder } else { status_builder.with("field", field) }
}

fn symbol_at(status_builder: StatusBuilder, venue: &VenueId, symbol: &str, segment: Option<&Segment>) -> StatusBuilder {
    in_segment(status_builder.with("venue_id", venue).with("venue_symbol", symbol), segment)
}

fn in_segment(status_builder: StatusBuilder, segment: Option<&Segment>) -> StatusBuilder {
    match segment {
        Some(segment) => status_builder.with("segment", segment),
        None => status_builder,
    }
}

/// The first interval is `market_id`, `live_from`, `live_until`; the next ones `market_id_2` … An open end is left out.
fn interval(status_builder: StatusBuilder, (n, (market, live)): (usize, &(MarketId, Interval))) -> StatusBuilder {
    let suffix = if n == 0 { String::new() } else { format!("_{}", n + 1) };
    let mut status_builder = status_builder.with(format!("market_id{suffix}"), market);
    for (name, end) in [("live_from", live.from), ("live_until", live.until)] {
        if let Some(end) = end {
            status_builder = status_builder.with(format!("{name}{suffix}"), end);
        }
    }
    status_builder
}

fn candidate(status_builder: StatusBuilder, candidate: &Candidate) -> StatusBuilder {
    let Candidate { market, segment, venue_symbol, code } = candidate;
    match segment.as_str() {
        "" => status_builder.with_precondition(market, format_args!("{code} ({venue_symbol})")),
        segment => status_builder.with_precondition(market, format_args!("{code} in segment {segment}")),
    }
}

#[cfg(test)]
mod tests;
