//! Chains on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{Chain, ChainStatus, GetChainRequest, ListChainsRequest, ListChainsResponse};

use super::{
    EntityCommands, Lookup, Paging, list,
    name::{self, Candidate},
    options, show, yes,
};
use crate::cli::{
    client::Connection,
    error::CliError,
    output::{OutputFormat, short},
    parse_value,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Chain,
    name: "chain",
    name_aliases: &["chains"],
    plural: "chains",
    plural_aliases: &["chain"],
    described: "a chain",
    many_described: "chains",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .chains()
                    .get_chain(GetChainRequest { chain_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { caip2, status, parent, paging } = options(matches)?;
            let status = status.unwrap_or_default();
            let request = ListChainsRequest { caip2, status, parent_chain_id: parent, ..Default::default() };
            list!(client, paging, chains.list_chains, request, ListChainsResponse.chains)
        })
    },
};

/// By its CAIP-2 id.
async fn find(server: &Connection, caip2: &str, lookup: Lookup) -> Result<String, CliError> {
    let request =
        ListChainsRequest { caip2: caip2.to_owned(), min_revision: lookup.min_revision, ..Default::default() };
    let found = server.chains().list_chains(request).await?.into_inner().chains;
    let candidate = |chain: Chain| Candidate { id: chain.id, described: chain.name, is_deleted: false };
    name::one("chain", caip2, found.into_iter().map(candidate).collect(), lookup)
}

#[derive(Debug, Args)]
struct Filters {
    /// Only the one with this CAIP-2 id, such as eip155:1.
    #[arg(long, default_value = "", hide_default_value = true)]
    caip2: String,
    /// Only those of this status, such as deprecated.
    #[arg(long, value_parser = read_status)]
    status: Option<i32>,
    /// Only those that settle on this chain.
    #[arg(long, value_name = "CHAIN", default_value = "", hide_default_value = true)]
    parent: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 6] = ["ID", "CAIP-2", "STATUS", "PARENT", "TESTNET", "NAME"];

fn row(chain: Chain) -> [String; 6] {
    let status = short(chain.status().as_str_name(), "CHAIN_STATUS_");
    let is_testnet = yes(chain.is_testnet.unwrap_or_default());
    [chain.id, chain.caip2, status, chain.parent_chain_id, is_testnet, chain.name]
}

fn read_status(text: &str) -> Result<i32, String> {
    let name = |value| ChainStatus::try_from(value).ok().map(|status| status.as_str_name());
    parse_value(text, "CHAIN_STATUS_", ChainStatus::from_str_name, name)
}
