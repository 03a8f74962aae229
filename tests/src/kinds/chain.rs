//! Chains.

use cqar_domain::entities::{
    Entity,
    asset::Asset,
    chain::{Chain, ChainStatus},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::ChainFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Chain (chains, chain, chains, chain_id, chain_ids, "name") {
        create_chain CreateChainRequest,
        get_chain |id, min_revision| v1::GetChainRequest { chain_id: id, min_revision, at_revision: 0 },
        batch_get_chains BatchGetChainsRequest batch_get_chains_response,
        update_chain UpdateChainRequest,
        delete_chain DeleteChainRequest,
        list_chains ListChainsRequest,
    }
    sample |_| Sample::new(fixtures::chain("ethereum", "eip155:1"), "Ethereum")
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [btc, _] = known.first::<Asset, _>();
    let bitcoin = entities::chain("bitcoin", "bip122:000000000019d6689c085ae165831e93", Some(btc.id));
    let layer = Chain {
        status: ChainStatus::Deprecated,
        parent_chain_id: Some(bitcoin.id.clone()),
        native_addresses: vec!["0x0000000000000000000000000000000000000000".into()],
        ..entities::chain("layer", "eip155:4294967295", None)
    };
    vec![bitcoin.into(), layer.into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    let assets = many.all::<Asset>();
    let chain = |n: usize| entities::chain(&format!("c{n}"), &format!("eip155:{}", 9_000_000 + n), Some(assets[n].id));
    (0..many.rows).map(|n| chain(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(3, |has| {
        ChainFilter {
            caip2: has(0).then(|| "eip155:1".to_owned()),
            status: has(1).then_some(ChainStatus::Active),
            parent_chain_id: has(2).then(|| "c1".parse().unwrap()),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let chain = || json!({"id": "chain-{n}", "name": "A chain", "caip2": "eip155:{n}"});
    let with_chain = || create("chain", &chain());
    vec![
        case("ChainService/CreateChain", none(), json!({"chain": chain()})),
        case("ChainService/GetChain", with_chain(), json!({"chain_id": "{0}"})),
        case("ChainService/BatchGetChains", with_chain(), json!({"chain_ids": ["{0}"]})),
        case("ChainService/UpdateChain", with_chain(), json!({"chain": {"id": "{0}", "is_testnet": true}})),
        case("ChainService/DeleteChain", with_chain(), json!({"chain_id": "{0}"})),
        case(
            "ChainService/ListChains",
            json!([{"create": {"chain": chain()}},
                {"create": {"chain": {"id": "other-{n}", "name": "A chain", "caip2": "eip155:9{n}"}}}]),
            json!({}),
        ),
    ]
}
