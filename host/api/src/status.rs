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
        WatchError::Stopping => return stopping(),
    };
    status_builder.into_status()
}

/// The server is going away; another one, or this one in a while, goes on.
pub(crate) fn stopping() -> Status {
    StatusBuilder::new(Code::Unavailable, ErrorReason::ShuttingDown, "the server is shutting down")
        .retry_after(RETRY_LATER)
        .into_status()
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
mod tests {
    use std::sync::Arc;

    use cqar_domain::{
        finding::{Finding, Severity},
        id::{AssetId, EntityType, InstrumentId, SystemIds},
        time::Timestamp,
    };
    use tonic_types::StatusExt;

    use super::*;

    fn venue() -> VenueId {
        "binance".parse().unwrap()
    }

    fn key() -> EntityKey {
        EntityKey::Venue(venue())
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn reason(status: &Status) -> String {
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.domain, "cqar");
        info.reason
    }

    fn metadata(status: &Status, key: &str) -> Option<String> {
        status.get_details_error_info().unwrap().metadata.get(key).cloned()
    }

    #[test]
    fn every_key_of_nothing_has_its_code_and_its_reason() {
        let unresolved = |what| Error::Unresolved(Box::new(what));
        let chain = || "ethereum".parse().unwrap();
        let table = [
            (unresolved(Unresolved::Name(EntityType::Chain, "x".into())), Code::NotFound, "ENTITY_NOT_FOUND"),
            (unresolved(Unresolved::Caip2("eip155:9".into())), Code::NotFound, "CHAIN_UNKNOWN"),
            (
                unresolved(Unresolved::Deployment { chain: chain(), address: "native".into() }),
                Code::NotFound,
                "DEPLOYMENT_UNKNOWN",
            ),
            (
                unresolved(Unresolved::VenueAsset { venue: venue(), code: "X".into(), segment: None }),
                Code::NotFound,
                "VENUE_ASSET_UNKNOWN",
            ),
            (
                unresolved(Unresolved::AmbiguousVenueAsset { venue: venue(), code: "X".into(), candidates: vec![] }),
                Code::FailedPrecondition,
                "AMBIGUOUS_VENUE_ASSET",
            ),
            (
                unresolved(Unresolved::Network {
                    venue: venue(),
                    code: "X".into(),
                    network: "ERC20".into(),
                    known: vec!["TRX".into()],
                }),
                Code::NotFound,
                "NETWORK_UNKNOWN",
            ),
            (
                unresolved(Unresolved::Identifier { source_name: "isin".into(), external_id: "X".into() }),
                Code::NotFound,
                "IDENTIFIER_UNKNOWN",
            ),
            (unresolved(Unresolved::Caip19("eip155:9/slip44:60".into())), Code::NotFound, "DEPLOYMENT_UNKNOWN"),
        ];
        for (error, code, of_error) in table {
            let status = status(error);
            assert_eq!((status.code(), reason(&status).as_str()), (code, of_error));
        }
    }

    #[test]
    fn every_error_has_its_code_and_its_reason() {
        let field = || "mutations[0].create.venue".to_owned();
        let candidates = || {
            let candidate = |segment: &str| Candidate {
                market: MarketId::new(&SystemIds),
                segment: segment.parse().unwrap(),
                venue_symbol: "BTCUSDT".into(),
                code: "BTC/USDT".into(),
            };
            vec![candidate("spot"), candidate("")]
        };
        let finding = Finding {
            severity: Severity::Error,
            path: "tick_size".into(),
            code: "TICK".into(),
            message: "odd".into(),
            plugin: "market-sanity".into(),
        };
        let table = [
            (invalid("market.tick_size", "ZERO", "must be above 0"), Code::InvalidArgument, "INVALID_FIELDS"),
            (Error::RejectedByValidator(vec![(field(), finding)]), Code::InvalidArgument, "REFUSED_BY_VALIDATOR"),
            (Error::NotFound { field: field(), key: key() }, Code::NotFound, "ENTITY_NOT_FOUND"),
            (Error::Deleted { field: field(), key: key() }, Code::FailedPrecondition, "ENTITY_DELETED"),
            (
                Error::AlreadyExists { field: field(), existing: key(), deleted: true },
                Code::AlreadyExists,
                "ENTITY_EXISTS",
            ),
            (Error::StaleEtag { field: field(), key: key(), current: "r7".into() }, Code::Aborted, "STALE_ETAG"),
            (
                Error::StillReferenced { field: field(), key: key(), referrers: vec![key()] },
                Code::FailedPrecondition,
                "REFERRED_TO",
            ),
            (Error::OnceReferenced { field: field(), key: key() }, Code::FailedPrecondition, "ONCE_REFERRED_TO"),
            (
                Error::SymbolUnknown { venue: venue(), symbol: "X".into(), segment: None, elsewhere: Vec::new() },
                Code::NotFound,
                "SYMBOL_UNKNOWN",
            ),
            (
                Error::SymbolNotLive {
                    venue: venue(),
                    symbol: "X".into(),
                    at: time("2025-01-01T00:00:00Z"),
                    live: vec![],
                },
                Code::NotFound,
                "SYMBOL_NOT_LIVE",
            ),
            (
                Error::AmbiguousSymbol { what: "X".into(), candidates: candidates() },
                Code::FailedPrecondition,
                "AMBIGUOUS_SYMBOL",
            ),
            (
                Error::AmbiguousCode { code: "BTC/USDT".into(), candidates: vec![key()] },
                Code::FailedPrecondition,
                "AMBIGUOUS_CODE",
            ),
            (Error::CodeUnknown("X".into()), Code::NotFound, "CODE_UNKNOWN"),
            (Error::TooManyVariants { asset: AssetId::new(&SystemIds) }, Code::FailedPrecondition, "TOO_MANY_VARIANTS"),
            (
                Error::NotListed {
                    instrument_id: InstrumentId::new(&SystemIds),
                    code: "BTC/USDT".into(),
                    venue: venue(),
                    segment: None,
                },
                Code::NotFound,
                "NOT_LISTED",
            ),
            (
                Error::TooManyMarkets { instrument: InstrumentId::new(&SystemIds), limit: 1000 },
                Code::FailedPrecondition,
                "TOO_MANY_MARKETS",
            ),
            (Error::RequestIdReused, Code::InvalidArgument, "REQUEST_ID_REUSED"),
            (Error::Contended, Code::Aborted, "CONTENDED"),
            (
                Error::StaleListing {
                    venue: venue(),
                    segment: Segment::default(),
                    newest: time("2025-01-02T00:00:00Z"),
                    observed: time("2025-01-01T00:00:00Z"),
                },
                Code::FailedPrecondition,
                "STALE_LISTING",
            ),
            (Error::RevisionNotReached { wanted: 9, applied: 7 }, Code::Unavailable, "REVISION_NOT_REACHED"),
        ];
        for (error, code, expected) in table {
            check(error, code, expected);
        }
    }

    #[test]
    fn every_error_about_a_plugin_has_its_code_and_its_reason() {
        let (plugin, reason) = (|| "p".to_owned(), || "r".to_owned());
        let table = [
            (Error::PluginNotServing { plugin: plugin(), reason: reason() }, Code::Unavailable, "PLUGIN_NOT_SERVING"),
            (Error::PluginFailed { plugin: plugin(), reason: reason() }, Code::Unavailable, "PLUGIN_FAILED"),
            (Error::PluginNotFound { plugin: plugin() }, Code::NotFound, "PLUGIN_NOT_FOUND"),
            (
                Error::PluginOperationRefused { plugin: plugin(), reason: reason() },
                Code::FailedPrecondition,
                "PLUGIN_OPERATION_REFUSED",
            ),
        ];
        for (error, code, expected) in table {
            check(error, code, expected);
        }
    }

    fn check(error: Error, code: Code, expected: &str) {
        let message = error.to_string();
        let status = status(error);
        assert_eq!((status.code(), status.message()), (code, message.as_str()));
        assert_eq!(reason(&status), expected);
        // What passes by itself says when to try again, and what does not never does.
        let passes = code == Code::Unavailable || matches!(expected, "CONTENDED" | "TOO_MANY_WRITES");
        assert_eq!(status.get_details_retry_info().is_some(), passes, "{expected}");
    }

    #[test]
    fn a_wrong_field_is_named_with_its_code() {
        let status = status(invalid("market.tick_size", "ZERO", "must be above 0"));
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, "market.tick_size");
        assert_eq!(violations[0].description, "ZERO: must be above 0");
    }

    #[test]
    fn a_symbol_that_is_not_live_says_when_it_was() {
        let markets = [MarketId::new(&SystemIds), MarketId::new(&SystemIds)];
        let first = Interval { from: None, until: Some(time("2021-06-25T08:00:00Z")) };
        let second = Interval { from: Some(time("2022-01-01T00:00:00Z")), until: Some(time("2022-03-25T08:00:00Z")) };
        let status = status(Error::SymbolNotLive {
            venue: venue(),
            symbol: "BTCUSD_210625".into(),
            at: time("2025-01-01T00:00:00Z"),
            live: vec![(markets[0], first), (markets[1], second)],
        });
        let says = |key| metadata(&status, key);
        assert_eq!(says("market_id"), Some(markets[0].to_string()));
        assert_eq!((says("live_from"), says("live_until").as_deref()), (None, Some("2021-06-25T08:00:00Z")));
        assert_eq!(says("market_id_2"), Some(markets[1].to_string()));
        assert_eq!(says("live_from_2").as_deref(), Some("2022-01-01T00:00:00Z"));
    }

    #[test]
    fn an_ambiguous_symbol_names_each_candidate() {
        let market = MarketId::new(&SystemIds);
        let candidate = Candidate {
            market,
            segment: "spot".parse().unwrap(),
            venue_symbol: "BTCUSDT".into(),
            code: "BTC/USDT".into(),
        };
        let status = status(Error::AmbiguousSymbol { what: "BTCUSDT".into(), candidates: vec![candidate] });
        let violations = status.get_details_precondition_failure().unwrap().violations;
        assert_eq!(violations[0].r#type, "AMBIGUOUS_SYMBOL");
        assert_eq!(violations[0].subject, market.to_string());
        assert_eq!(violations[0].description, "BTC/USDT in segment spot");
    }

    #[test]
    fn an_entity_is_named_as_a_resource() {
        let id = InstrumentId::new(&SystemIds);
        let status = status(Error::NotFound { field: "market.instrument_id".into(), key: EntityKey::Instrument(id) });
        let resource = status.get_details_resource_info().unwrap();
        assert_eq!((resource.resource_type.as_str(), resource.resource_name), ("instrument", id.to_string()));
        assert_eq!(metadata(&status, "field").as_deref(), Some("market.instrument_id"));
    }

    #[test]
    fn what_nobody_foresaw_is_answered_with_an_id_alone() {
        let secret = StoreError::Corrupt { table: "assets", reason: "the secret of row 7".into() };
        let status = status(Error::Store(Arc::new(secret)));
        assert_eq!((status.code(), reason(&status).as_str()), (Code::Internal, "INTERNAL_ERROR"));
        let id = status.message().strip_prefix("internal error ").unwrap();
        assert!(Uuid::try_parse(id).is_ok(), "{}", status.message());
        assert_eq!(metadata(&status, "error_id").as_deref(), Some(id));
    }

    #[test]
    fn the_end_of_a_watch_says_from_where_to_go_on() {
        let compacted = watch_status(&WatchError::Compacted { oldest: 42 });
        assert_eq!((compacted.code(), reason(&compacted).as_str()), (Code::OutOfRange, "LOG_COMPACTED"));
        assert_eq!(metadata(&compacted, "oldest_revision").as_deref(), Some("42"));
        let future = watch_status(&WatchError::Future { newest: 7 });
        assert_eq!((future.code(), reason(&future).as_str()), (Code::OutOfRange, "REVISION_NOT_MADE"));
        let stopping = watch_status(&WatchError::Stopping);
        assert_eq!((stopping.code(), reason(&stopping).as_str()), (Code::Unavailable, "SHUTTING_DOWN"));
        let broken = watch_status(&WatchError::Unavailable(PortError::new("disk on fire")));
        assert_eq!(broken.code(), Code::Internal);
        let corrupt = StoreError::Corrupt { table: "events", reason: "?".into() };
        assert_eq!(watch_status(&WatchError::Unavailable(PortError::new(corrupt))).code(), Code::Internal);
    }
}
