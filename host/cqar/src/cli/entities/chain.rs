//! Chains on the command line.

use clap::Args;
use cqar_proto::v1::{Chain, GetChainRequest, ListChainsRequest, ListChainsResponse};

use super::{EntityCommands, Paging, list, options, show, yes};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    name: "chain",
    name_aliases: &["chains"],
    plural: "chains",
    plural_aliases: &["chain"],
    about: "Lists chains",
    filters: Filters::augment_args,
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server.chains().get_chain(GetChainRequest { chain_id: id, min_revision, at_revision: 0 }).await?,
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { caip2, paging } = options(matches)?;
            let request = ListChainsRequest { caip2, ..Default::default() };
            list!(client, paging, chains.list_chains, request, ListChainsResponse.chains)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only the one with this CAIP-2 id, such as eip155:1.
    #[arg(long, default_value = "", hide_default_value = true)]
    caip2: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 4] = ["ID", "CAIP-2", "TESTNET", "NAME"];

fn row(chain: Chain) -> [String; 4] {
    [chain.id, chain.caip2, yes(chain.is_testnet.unwrap_or_default()), chain.name]
}
