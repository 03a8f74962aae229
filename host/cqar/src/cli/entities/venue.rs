//! Venues on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{GetVenueRequest, ListVenuesRequest, ListVenuesResponse, Venue, VenueType};

use super::{EntityCommands, Paging, id_filter, list, name, name_of, options, show, yes};
use crate::cli::{
    output::{OutputFormat, short},
    parse_value,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Venue,
    name: "venue",
    name_aliases: &["venues"],
    plural: "venues",
    plural_aliases: &["venue"],
    described: "a venue",
    many_described: "venues",
    filters: Filters::augment_args,
    // Its id is its name.
    find: |_, name, lookup| Box::pin(std::future::ready(name::one("venue", name, Vec::new(), lookup))),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .venues()
                    .get_venue(GetVenueRequest { venue_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { kind, chain, show_deleted, paging } = options(matches)?;
            let chain_id = id_filter(client, EntityType::Chain, &chain).await?;
            let r#type = kind.unwrap_or_default();
            let request = ListVenuesRequest { r#type, chain_id, show_deleted, ..Default::default() };
            list!(client, paging, venues.list_venues, request, ListVenuesResponse.venues)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this type, such as cex.
    #[arg(long = "type", value_name = "TYPE", value_parser = read_type)]
    kind: Option<i32>,
    /// Only those on this chain: its id, or its CAIP-2 id.
    #[arg(long, default_value = "", hide_default_value = true)]
    chain: String,
    /// Soft-deleted ones too.
    #[arg(long)]
    show_deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 5] = ["ID", "TYPE", "ACTIVE", "SYMBOLOGY", "NAME"];

fn row(venue: Venue) -> [String; 5] {
    let kind = short(VenueType::try_from(venue.r#type).map_or("", |kind| kind.as_str_name()), "VENUE_TYPE_");
    let name = name_of(venue.name, venue.delete_time.is_some());
    [venue.id, kind, yes(venue.is_active.unwrap_or_default()), venue.symbology, name]
}

fn read_type(text: &str) -> Result<i32, String> {
    let name = |value| VenueType::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "VENUE_TYPE_", VenueType::from_str_name, name)
}
