//! What assets are of one another, on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{
    GetRelationshipRequest, ListRelationshipsRequest, ListRelationshipsResponse, RateKind, Relationship,
    RelationshipType,
};

use super::{
    EntityCommands, Labels, Lookup, MAX_PAGE_SIZE, Paging, id_filter, list,
    name::{self, Candidate},
    options, show,
};
use crate::cli::{
    client::Connection,
    error::CliError,
    output::{OutputFormat, short},
    parse_value,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Relationship,
    name: "relationship",
    name_aliases: &["relationships"],
    plural: "relationships",
    plural_aliases: &["relationship"],
    described: "what an asset is of another: by its id, or WETH/ETH",
    many_described: "what assets are of one another",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .assets()
                    .get_relationship(GetRelationshipRequest { relationship_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { from, to, kind, paging } = options(matches)?;
            let from_asset_id = id_filter(client, EntityType::Asset, &from).await?;
            let to_asset_id = id_filter(client, EntityType::Asset, &to).await?;
            let request = ListRelationshipsRequest {
                from_asset_id,
                to_asset_id,
                r#type: kind.unwrap_or_default(),
                ..Default::default()
            };
            list!(client, paging, assets.list_relationships, request, ListRelationshipsResponse.relationships, assets of |it| [it.from_asset_id.clone(), it.to_asset_id.clone()])
        })
    },
};

/// By its assets, `WETH/ETH`.
async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let (from, to) = name.split_once('/').ok_or_else(|| {
        CliError::Usage(format!("{name:?} is no relationship: give its id, or DERIVATIVE/UNDERLYING such as WETH/ETH"))
    })?;
    let assets = EntityCommands::of(EntityType::Asset);
    let (from, to) = (assets.id_of(server, from, lookup).await?, assets.id_of(server, to, lookup).await?);
    let request = ListRelationshipsRequest {
        from_asset_id: from,
        to_asset_id: to,
        min_revision: lookup.min_revision,
        page_size: MAX_PAGE_SIZE,
        ..Default::default()
    };
    let found = server.assets().list_relationships(request).await?.into_inner().relationships;
    let candidate = |it: Relationship| Candidate { described: kind(&it), id: it.id, is_deleted: false };
    name::one("relationship", name, found.into_iter().map(candidate).collect(), lookup)
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this derivative: its id, or its symbol.
    #[arg(long, value_name = "ASSET", default_value = "", hide_default_value = true)]
    from: String,
    /// Only those to this underlying: its id, or its symbol.
    #[arg(long, value_name = "ASSET", default_value = "", hide_default_value = true)]
    to: String,
    /// Only those of this type, such as wraps.
    #[arg(long = "type", value_name = "TYPE", value_parser = read_type)]
    kind: Option<i32>,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 7] = ["FROM", "TYPE", "TO", "RATE", "RATE KIND", "PROTOCOL", "ID"];

fn row(relationship: Relationship, assets: &Labels) -> [String; 7] {
    let kind = kind(&relationship);
    let rate_kind = RateKind::try_from(relationship.rate_kind).map_or("", |it| it.as_str_name());
    let rate_kind = short(rate_kind, "RATE_KIND_");
    let Relationship { id, from_asset_id, to_asset_id, conversion_rate, protocol, .. } = relationship;
    let (from, to) = (assets.of(&from_asset_id), assets.of(&to_asset_id));
    [from, kind, to, conversion_rate, rate_kind, protocol, id]
}

/// `WRAPS`, `STAKES` …
fn kind(relationship: &Relationship) -> String {
    let name = RelationshipType::try_from(relationship.r#type).map_or("", |it| it.as_str_name());
    short(name, "RELATIONSHIP_TYPE_")
}

fn read_type(text: &str) -> Result<i32, String> {
    let name = |value| RelationshipType::try_from(value).ok().map(|it| it.as_str_name());
    parse_value(text, "RELATIONSHIP_TYPE_", RelationshipType::from_str_name, name)
}
