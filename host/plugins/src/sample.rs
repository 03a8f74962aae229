//! The built-in samples: one call of every function, to prove that it runs and answers the right number. What it
//! answers is its own business.

use std::{ops::Range, sync::Arc};

use cqar_domain::{
    entities::instrument::InstrumentKind,
    id::{EntityType, Segment},
    time::Timestamp,
};

use crate::{
    context::CallContext,
    error::CallError,
    generation::Exports,
    sandbox::Scope,
    symbology::{Code, Format, NormalizeAssets, Parse, Query, ReadListing, Reading},
    transform::{Document, Transform},
    validator::{Change, Operation, Validate},
};

const MARKET: &str = r#"{"id": "01890a5d-ac96-774b-bcce-b302099a8057", "venue_id": "sample", "segment": "spot",
    "venue_symbol": "BTCUSDT", "instrument_id": "01890a5d-ac96-774b-bcce-b302099a8058", "unit_multiplier": "1",
    "tick_size": "0.01", "lot_size": "0.00001", "min_quantity": "0.00001", "max_quantity": "9000",
    "min_notional": "5", "maker_fee": "0.001", "taker_fee": "0.001", "status": "MARKET_STATUS_ACTIVE"}"#;
const MARKET_ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// Calls every function of a plugin once.
pub(crate) async fn try_out(exports: &Exports, plugin: &Arc<str>, now: Timestamp) -> Result<(), CallError> {
    match exports {
        Exports::Validator(lane) => lane.call(validate(plugin, now), Scope::sample(now)).await.map(|_| ()),
        Exports::Symbology { symbols, listings } => {
            let scope = || Scope::sample(now);
            let call: Arc<str> = CallContext::at(now).document().into();
            let call = || Arc::clone(&call);
            let query = Query { symbol: "BTCUSDT".into(), segment: None };
            symbols.call(Parse { call: call(), queries: [query].into(), range: 0..1 }, scope()).await?;
            let format = |readings: Vec<Reading>| {
                let range = 0..readings.len();
                Format { call: call(), readings: readings.into(), range }
            };
            symbols.call(format(Vec::new()), scope()).await?;
            symbols.call(format(vec![reading()]), scope()).await?;
            let code = Code { code: "BTC".into(), segment: None };
            let codes = NormalizeAssets { call: call(), codes: [code].into(), range: 0..1 };
            symbols.call(codes, scope()).await?;
            match listings.call(ReadListing { call: call(), sources: Vec::new() }, scope()).await {
                // That nothing is no listing is an answer.
                Ok(_) | Err(CallError::Failure { .. }) => Ok(()),
                Err(error) => Err(error),
            }
        }
        Exports::Transform(lane) => lane.call(transform(now), Scope::sample(now)).await.map(|_| ()),
    }
}

fn validate(plugin: &Arc<str>, now: Timestamp) -> Validate {
    let context = CallContext { actor: "sample".into(), validate_only: true, ..CallContext::at(now) };
    let change = Change {
        operation: Operation::Create,
        entity_type: EntityType::Market,
        id: MARKET_ID.into(),
        before: None,
        after: Some(MARKET.into()),
    };
    Validate {
        plugin: Arc::clone(plugin),
        call: context.document().into(),
        changes: [change].into(),
        seen: [0].into(),
        range: 0..1,
    }
}

fn reading() -> Reading {
    Reading {
        segment: Segment::default(),
        kind: InstrumentKind::Spot,
        base: "BTC".into(),
        quote: Some("USDT".into()),
        settle: None,
        expiry: None,
        strike: None,
        option_type: None,
        exercise_style: None,
        unit_multiplier: None,
        extra: Vec::new(),
    }
}

fn transform(now: Timestamp) -> Transform {
    let prefix = "cqc.events.v1";
    let event = Document {
        event_type: "market_listed".into(),
        subject: format!("{prefix}.market_listed"),
        json: format!(
            r#"{{"revision": "1", "type": "market_listed", "entity_type": "market", "entity_id": "{MARKET_ID}",
                "venue_id": "sample", "actor": "sample", "commit_time": "{now}", "after": {{"market": {MARKET}}}}}"#
        ),
    };
    let range: Range<usize> = 0..1;
    Transform { call: CallContext::at(now).document_with_prefix(prefix), documents: [event].into(), range }
}
