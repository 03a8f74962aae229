//! What assets are on chains.

use cqar_domain::{
    entities::{
        Entity,
        asset::Asset,
        chain::Chain,
        deployment::{Deployment, TokenStandard},
    },
    id::{AssetId, SystemIds},
    violation::Violations,
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::DeploymentFilter};
use serde_json::{Value, json};

use super::{
    Examples, Many, Sample,
    case::{Case, case},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Deployment (assets, deployment, deployments, deployment_id, deployment_ids, "is_canonical") {
        create_deployment CreateDeploymentRequest,
        get_deployment |id, min_revision| v1::GetDeploymentRequest { deployment_id: id, min_revision, at_revision: 0 },
        batch_get_deployments BatchGetDeploymentsRequest batch_get_deployments_response,
        update_deployment UpdateDeploymentRequest,
        delete_deployment DeleteDeploymentRequest,
        list_deployments ListDeploymentsRequest,
    }
    sample |registry| {
        let address = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48";
        Sample::new(fixtures::deployment("testnet", address, &registry.btc), true)
    }
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [btc, usdt] = known.first::<Asset, _>();
    let [bitcoin, layer] = known.first::<Chain, _>();
    let placed = |mut deployment: Deployment, chain| {
        deployment.place(chain, &mut Violations::default());
        deployment.into()
    };
    let coin = Deployment {
        standard: TokenStandard::Native,
        slip44: Some(0),
        is_canonical: true,
        deployed_time: "2009-01-03T18:15:05Z".parse().ok(),
        ..entities::deployment("bitcoin", "native", btc.id)
    };
    let token = entities::deployment("layer", "0xdAC17F958D2ee523a2206206994597C13D831ec7", usdt.id);
    vec![placed(coin, &bitcoin), placed(token, &layer)]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let assets = many.all::<Asset>();
    let deployment = |n: usize| entities::deployment(&format!("c{}", n / 2), &format!("0x{n:040x}"), assets[n].id);
    (0..many.rows).map(|n| deployment(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(2, |has| {
        DeploymentFilter {
            asset_id: has(0).then(|| AssetId::new(&SystemIds)),
            chain_id: has(1).then(|| "c1".parse().unwrap()),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let address = |first: &str| format!("{first}-{{n}}");
    let deployment = |first: &str| {
        json!({"asset_id": "{btc}", "chain_id": "near-{n}", "address": address(first), "decimals": 24,
            "standard": "TOKEN_STANDARD_OTHER"})
    };
    let with = |deployments: &[&str]| -> Value {
        let chain = json!({"create": {"chain": {"id": "near-{n}", "name": "NEAR", "caip2": "near:{n}"}}});
        let created = deployments.iter().map(|it| json!({"create": {"deployment": deployment(it)}}));
        created.chain([chain]).collect::<Vec<_>>().into_iter().rev().collect()
    };
    let place = || json!({"address": {"chain_id": "near-{n}", "address": address("a")}});
    vec![
        case("AssetService/CreateDeployment", with(&[]), json!({"deployment": deployment("a")})),
        case("AssetService/GetDeployment", with(&["a"]), json!({"deployment_id": "{1}"})),
        case("AssetService/BatchGetDeployments", with(&["a"]), json!({"deployment_ids": ["{1}"]})),
        case("AssetService/UpdateDeployment", with(&["a"]), json!({"deployment": {"id": "{1}", "is_canonical": true}})),
        case("AssetService/DeleteDeployment", with(&["a"]), json!({"deployment_id": "{1}"})),
        case("AssetService/ListDeployments", with(&["a", "b"]), json!({})),
        case("AssetService/ResolveDeployment", with(&["a"]), json!({"place": place()})),
        case("AssetService/BatchResolveDeployments", with(&["a"]), json!({"requests": [place()]})),
    ]
}
