//! Chains.

use cqar_domain::entities::{Entity, asset::Asset};
use cqar_proto::v1;
use serde_json::json;

use super::{
    Examples, Sample,
    case::{Case, case, create, none},
    kind,
};
use crate::{entities, fixtures};

kind! { Chain (chains, chain, chains, chain_id, chain_ids, "name", |it| &mut it.name) {
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
    let [btc, _] = known.all::<Asset, _>();
    vec![entities::chain("bitcoin", "bip122:000000000019d6689c085ae165831e93", Some(btc.id)).into()]
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
