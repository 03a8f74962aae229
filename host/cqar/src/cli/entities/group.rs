//! Groups of assets on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{GetGroupRequest, Group, ListGroupsRequest, ListGroupsResponse, get_group_request::Key};

use super::{EntityCommands, Lookup, Paging, list, options, show};
use crate::cli::{client::Connection, error::CliError, output::OutputFormat};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Group,
    name: "group",
    name_aliases: &["groups"],
    plural: "groups",
    plural_aliases: &["group"],
    described: "a group of assets: by its id, or its name",
    many_described: "groups of assets",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            let request = GetGroupRequest { key: Some(Key::GroupId(id)), min_revision, at_revision: 0 };
            show(format, server.assets().get_group(request).await?.get_ref())
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { paging } = options(matches)?;
            list!(client, paging, assets.list_groups, ListGroupsRequest::default(), ListGroupsResponse.groups)
        })
    },
};

/// By its name.
async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let key = Some(Key::Name(name.to_owned()));
    let request = GetGroupRequest { key, min_revision: lookup.min_revision, at_revision: 0 };
    Ok(server.assets().get_group(request).await?.into_inner().id)
}

#[derive(Debug, Args)]
struct Filters {
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 4] = ["NAME", "MEMBERS", "DESCRIPTION", "ID"];

fn row(group: Group) -> [String; 4] {
    let description = group.description.lines().next().unwrap_or_default().to_owned();
    [group.name, group.members.len().to_string(), description, group.id]
}
