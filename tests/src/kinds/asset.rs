//! Assets.

use cqar_domain::entities::{
    Entity,
    asset::{Asset, AssetType},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::AssetFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, asset, case, create, delete, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Asset (assets, asset, assets, asset_id, asset_ids, "name") {
        create_asset CreateAssetRequest,
        get_asset |id, min_revision| v1::GetAssetRequest { asset_id: id, min_revision, at_revision: 0 },
        batch_get_assets BatchGetAssetsRequest batch_get_assets_response,
        update_asset UpdateAssetRequest,
        delete_asset DeleteAssetRequest,
        list_assets ListAssetsRequest hiding deleted,
    }
    sample |_| Sample::new(fixtures::asset("ETH"), "Ether")
}

/// In the domain, with every optional field given somewhere.
pub fn examples(_: &Examples) -> Vec<Entity> {
    vec![entities::asset("BTC").into(), entities::asset("USD").into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    use AssetType::{Coin, Commodity, Equity, Fiat, Index, Nft, Stablecoin, Token};
    let types = [Coin, Token, Stablecoin, Nft, Fiat, Commodity, Equity, Index];
    let asset = |n: usize| Asset {
        asset_type: types[n % types.len()],
        category: format!("category {}", n % 1000),
        ..entities::asset(&format!("S{n}"))
    };
    (0..many.rows).map(|n| asset(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(7, |has| {
        AssetFilter {
            symbol: has(0).then(|| "BTC".to_owned()),
            asset_type: has(1).then_some(AssetType::Coin),
            name: has(2).then(|| "The BTC".to_owned()),
            category: has(3).then(|| "currency".to_owned()),
            label: has(4)
                .then(|| ("desk".to_owned(), Some("spot".to_owned())))
                .or(has(5).then(|| ("desk".to_owned(), None))),
            show_deleted: has(6),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let with_asset = || create("asset", &asset());
    vec![
        case("AssetService/CreateAsset", none(), json!({"asset": asset()})),
        case("AssetService/GetAsset", none(), json!({"asset_id": "{btc}"})),
        case("AssetService/BatchGetAssets", none(), json!({"asset_ids": ["{btc}"]})),
        case("AssetService/UpdateAsset", with_asset(), json!({"asset": {"id": "{0}", "name": "Another"}})),
        case("AssetService/DeleteAsset", with_asset(), json!({"asset_id": "{0}"})),
        case("AssetService/UndeleteAsset", delete("asset", &asset(), "asset_id"), json!({"asset_id": "{0}"})),
        case("AssetService/ListAssets", none(), json!({})),
    ]
}
