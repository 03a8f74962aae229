//! What each error becomes on the wire.

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
        (Error::AlreadyExists { field: field(), existing: key(), deleted: true }, Code::AlreadyExists, "ENTITY_EXISTS"),
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
            Error::SymbolNotLive { venue: venue(), symbol: "X".into(), at: time("2025-01-01T00:00:00Z"), live: vec![] },
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
    let candidate =
        Candidate { market, segment: "spot".parse().unwrap(), venue_symbol: "BTCUSDT".into(), code: "BTC/USDT".into() };
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
