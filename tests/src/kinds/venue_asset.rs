//! Venues' codes for assets.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        deployment::Deployment,
        venue_asset::{VenueAsset, VenueAssetNetwork},
    },
    id::{AssetId, SystemIds},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::VenueAssetFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { VenueAsset (venues, venue_asset, venue_assets, venue_asset_id, venue_asset_ids, "asset_id") {
        create_venue_asset CreateVenueAssetRequest,
        get_venue_asset |id, min_revision| v1::GetVenueAssetRequest { venue_asset_id: id, min_revision, at_revision: 0 },
        batch_get_venue_assets BatchGetVenueAssetsRequest batch_get_venue_assets_response,
        update_venue_asset UpdateVenueAssetRequest,
        delete_venue_asset DeleteVenueAssetRequest,
        list_venue_assets ListVenueAssetsRequest,
    }
    sample |registry| Sample::new(fixtures::venue_asset("kraken", "XBT", &registry.btc), registry.usdt.as_str())
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [btc] = known.first::<Asset, _>();
    let [deployment] = known.first::<Deployment, _>();
    let network = VenueAssetNetwork {
        network: "BTC".into(),
        chain_id: Some(deployment.chain_id.clone()),
        deployment_id: Some(deployment.id),
        contract_address: "native".into(),
        is_deposit_enabled: Some(true),
        is_withdraw_enabled: Some(false),
        withdraw_fee: "0.0005".parse().ok(),
        min_withdraw: "0.001".parse().ok(),
        min_deposit: "0".parse().ok(),
        confirmations: Some(2),
        is_memo_required: Some(false),
    };
    let bound = VenueAsset {
        is_trading_enabled: false,
        listed_time: "2020-01-01T00:00:00Z".parse().ok(),
        delisted_time: "2030-01-01T00:00:00Z".parse().ok(),
        networks: vec![network],
        ..entities::venue_asset("dex", "XBT", btc.id)
    };
    vec![bound.into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    // A few venues have all the codes, as they were imported: one venue's together.
    let assets = many.all::<Asset>();
    let bound = |n: usize| entities::venue_asset(&format!("v{}", n / (many.rows / 5)), &format!("C{n}"), assets[n].id);
    (0..many.rows).map(|n| bound(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(4, |has| {
        VenueAssetFilter {
            segment: has(2).then(|| "spot".parse().unwrap()),
            code: has(3).then(|| "XBT".to_owned()),
            venue_id: has(0).then(|| "v1".parse().unwrap()),
            asset_id: has(1).then(|| AssetId::new(&SystemIds)),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let venue_asset = || json!({"venue_id": "kraken", "code": "C{n}", "asset_id": "{btc}"});
    let with_venue_asset = || create("venue_asset", &venue_asset());
    vec![
        case("VenueService/CreateVenueAsset", none(), json!({"venue_asset": venue_asset()})),
        case("VenueService/GetVenueAsset", with_venue_asset(), json!({"venue_asset_id": "{0}"})),
        case("VenueService/BatchGetVenueAssets", with_venue_asset(), json!({"venue_asset_ids": ["{0}"]})),
        case(
            "VenueService/UpdateVenueAsset",
            with_venue_asset(),
            json!({"venue_asset": {"id": "{0}", "asset_id": "{usdt}"}}),
        ),
        case("VenueService/DeleteVenueAsset", with_venue_asset(), json!({"venue_asset_id": "{0}"})),
        case(
            "VenueService/ListVenueAssets",
            json!([{"create": {"venue_asset": venue_asset()}},
                {"create": {"venue_asset": {"venue_id": "kraken", "code": "D{n}", "asset_id": "{btc}"}}}]),
            json!({}),
        ),
        case("VenueService/ResolveVenueAsset", with_venue_asset(), json!({"venue_id": "kraken", "code": "C{n}"})),
        case(
            "VenueService/BatchResolveVenueAssets",
            with_venue_asset(),
            json!({"requests": [{"venue_id": "kraken", "code": "C{n}"}]}),
        ),
    ]
}
