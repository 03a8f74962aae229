//! What assets are on chains, on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{
    ChainAddress, Deployment, DeploymentPlace, GetDeploymentRequest, ListDeploymentsRequest, ListDeploymentsResponse,
    ResolveDeploymentRequest, TokenStandard, chain_address::Chain, deployment_place::Place,
};

use super::{EntityCommands, Labels, Lookup, Paging, id_filter, list, options, show, yes};
use crate::cli::{
    client::Connection,
    error::CliError,
    output::{OutputFormat, short},
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Deployment,
    name: "deployment",
    name_aliases: &["deployments"],
    plural: "deployments",
    plural_aliases: &["deployment"],
    described: "an asset on a chain: by its id, ethereum/0xa0b8…, or its CAIP-19 id",
    many_described: "what assets are on chains",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .assets()
                    .get_deployment(GetDeploymentRequest { deployment_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { asset, chain, paging } = options(matches)?;
            let asset_id = id_filter(client, EntityType::Asset, &asset).await?;
            let chain_id = id_filter(client, EntityType::Chain, &chain).await?;
            let request = ListDeploymentsRequest { asset_id, chain_id, ..Default::default() };
            list!(client, paging, assets.list_deployments, request, ListDeploymentsResponse.deployments, assets of |it| [it.asset_id.clone()])
        })
    },
};

/// The place that is called so: `ethereum/0xa0b8…`, `eip155:1/erc20:0xa0b8…`, and by the CAIP-2 id `eip155:1/0xa0b8…`.
pub fn place(name: &str) -> Result<Place, CliError> {
    let unreadable = || {
        let message = "give its id, CHAIN/ADDRESS such as ethereum/0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48, or a CAIP-19 or CAIP-10 id";
        CliError::Usage(format!("{name:?} is no deployment: {message}"))
    };
    let Some((chain, address)) = name.split_once('/') else {
        // Two colons, and no slash.
        let is_caip10 = name.match_indices(':').nth(1).is_some();
        return is_caip10.then(|| Place::Caip10(name.to_owned())).ok_or_else(unreadable);
    };
    let is_caip2 = chain.contains(':');
    // A type of Move has colons too, and two of them.
    if is_caip2 && address.split_once(':').is_some_and(|(_, reference)| !reference.starts_with(':')) {
        return Ok(Place::Caip19(name.to_owned()));
    }
    let chain = if is_caip2 { Chain::Caip2(chain.to_owned()) } else { Chain::ChainId(chain.to_owned()) };
    Ok(Place::Address(ChainAddress { chain: Some(chain), address: address.to_owned() }))
}

async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let place = Some(DeploymentPlace { place: Some(place(name)?) });
    let request = ResolveDeploymentRequest { place, min_revision: lookup.min_revision, at_revision: 0 };
    let found = server.assets().resolve_deployment(request).await?.into_inner().deployment;
    Ok(found.map(|it| it.id).unwrap_or_default())
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    asset: String,
    /// Only those on this chain: its id, or its CAIP-2 id.
    #[arg(long, default_value = "", hide_default_value = true)]
    chain: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 7] = ["CHAIN", "ADDRESS", "STANDARD", "DECIMALS", "CANONICAL", "ASSET", "ID"];

fn row(deployment: Deployment, assets: &Labels) -> [String; 7] {
    let standard = token_standard(&deployment);
    let Deployment { id, asset_id, chain_id, address, decimals, is_canonical, .. } = deployment;
    let decimals = decimals.unwrap_or_default().to_string();
    [chain_id, address, standard, decimals, yes(is_canonical.unwrap_or_default()), assets.of(&asset_id), id]
}

/// `ERC20`, `SPL` …
pub fn token_standard(deployment: &Deployment) -> String {
    short(TokenStandard::try_from(deployment.standard).map_or("", |it| it.as_str_name()), "TOKEN_STANDARD_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_an_address_of_a_chain_or_a_caip19_id() {
        let address =
            |chain, address: &str| Place::Address(ChainAddress { chain: Some(chain), address: address.into() });
        let id = |id: &str| Chain::ChainId(id.into());
        assert_eq!(place("ethereum/0xA0").unwrap(), address(id("ethereum"), "0xA0"));
        assert_eq!(place("osmosis/ibc/27").unwrap(), address(id("osmosis"), "ibc/27"));
        assert_eq!(place("sui/0x2::sui::SUI").unwrap(), address(id("sui"), "0x2::sui::SUI"));
        assert_eq!(place("eip155:1/native").unwrap(), address(Chain::Caip2("eip155:1".into()), "native"));
        let of_move = address(Chain::Caip2("sui:mainnet".into()), "0x2::sui::SUI");
        assert_eq!(place("sui:mainnet/0x2::sui::SUI").unwrap(), of_move);
        assert_eq!(place("eip155:1/erc20:0xA0").unwrap(), Place::Caip19("eip155:1/erc20:0xA0".into()));
        assert_eq!(place("eip155:1:0xA0").unwrap(), Place::Caip10("eip155:1:0xA0".into()));
        assert!(place("USDC").is_err());
    }
}
