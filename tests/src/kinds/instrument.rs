//! Instruments.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        instrument::{DerivativeAssets, ExerciseStyle, Instrument, InstrumentKind, OptionType, Terms},
    },
    id::{AssetId, SystemIds},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::InstrumentFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, asset, case, create, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Instrument (instruments, instrument, instruments, instrument_id, instrument_ids, "labels") {
        create_instrument CreateInstrumentRequest,
        get_instrument |id, min_revision| {
            v1::GetInstrumentRequest { key: Some(v1::get_instrument_request::Key::InstrumentId(id)), min_revision, at_revision: 0 }
        },
        batch_get_instruments BatchGetInstrumentsRequest batch_get_instruments_response,
        update_instrument UpdateInstrumentRequest,
        delete_instrument DeleteInstrumentRequest,
        list_instruments ListInstrumentsRequest hiding deleted,
    }
    sample |registry| Sample::new(fixtures::spot(&registry.usdt, &registry.btc), json!({"desk": "rates"}))
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [btc, usd] = known.first::<Asset, _>();
    let contract = DerivativeAssets { base: btc.id, quote: usd.id, settle: btc.id };
    let mut option = entities::instrument(Terms::Option {
        contract,
        expiry: "2026-12-25".parse().unwrap(),
        strike: "100000.5".parse().unwrap(),
        option_type: OptionType::Put,
        style: ExerciseStyle::American,
    });
    option.code = "BTC/USD:BTC-261225-100000.5-P".into();
    vec![option.into(), entities::instrument(entities::deposit(usd.id)).into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let (assets, rows) = (many.all::<Asset>(), many.rows);
    let terms = |n: usize| match n % 4 {
        0 => Terms::Spot { base: assets[n].id, quote: assets[n + 1].id },
        2 => Terms::Spot { base: assets[n].id, quote: assets[rows - 1].id },
        _ => entities::deposit(assets[n].id),
    };
    (0..rows).map(|n| Instrument { code: format!("I{n}"), ..entities::instrument(terms(n)) }.into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(10, |has| {
        InstrumentFilter {
            kind: has(0).then_some(InstrumentKind::Spot),
            base_asset_id: has(1).then(|| AssetId::new(&SystemIds)),
            quote_asset_id: has(2).then(|| AssetId::new(&SystemIds)),
            show_deleted: has(3),
            settle_asset_id: has(4).then(|| AssetId::new(&SystemIds)),
            expiry: [has(5), has(6)].map(|has| has.then(|| "2026-12-25".parse().unwrap())),
            strike: [has(7), has(8)].map(|has| has.then(|| "100000.5".parse().unwrap())),
            code: has(9).then(|| "BTC/USD".to_owned()),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let future = |asset: &str| {
        json!({"future": {"base_asset_id": asset, "quote_asset_id": "{usdt}", "settle_asset_id": "{usdt}",
            "expiry_date": "2030-01-01"}})
    };
    let with_asset = || create("asset", &asset());
    let with_instrument =
        || json!([{"ref": "a{n}", "create": {"asset": asset()}}, {"create": {"instrument": future("$a{n}")}}]);
    vec![
        case("InstrumentService/CreateInstrument", with_asset(), json!({"instrument": future("{0}")})),
        case("InstrumentService/GetInstrument", none(), json!({"instrument_id": "{spot}"})),
        case("InstrumentService/BatchGetInstruments", none(), json!({"instrument_ids": ["{spot}"]})),
        case(
            "InstrumentService/UpdateInstrument",
            with_instrument(),
            json!({"instrument": {"id": "{1}", "labels": {"desk": "rates"}}}),
        ),
        case("InstrumentService/DeleteInstrument", with_instrument(), json!({"instrument_id": "{1}"})),
        case(
            "InstrumentService/UndeleteInstrument",
            json!([
                {"ref": "a{n}", "create": {"asset": asset()}},
                {"ref": "i{n}", "create": {"instrument": future("$a{n}")}},
                {"delete": {"instrument_id": "$i{n}"}},
            ]),
            json!({"instrument_id": "{1}"}),
        ),
        case("InstrumentService/ListInstruments", none(), json!({})),
    ]
}
