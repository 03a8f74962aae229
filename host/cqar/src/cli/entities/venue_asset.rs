//! The codes by which venues know assets on the command line.

use clap::Args;
use cqar_proto::v1::{GetVenueAssetRequest, ListVenueAssetsRequest, ListVenueAssetsResponse, VenueAsset};

use super::{EntityCommands, Paging, list, options, show};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    name: "venue-asset",
    name_aliases: &["venue-assets", "venue_asset", "venue_assets"],
    plural: "venue-assets",
    plural_aliases: &["venue-asset", "venue_assets", "venue_asset"],
    about: "Lists the codes by which venues know assets",
    filters: Filters::augment_args,
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .venues()
                    .get_venue_asset(GetVenueAssetRequest { venue_asset_id: id, min_revision, at_revision: 0 })
                    .await?,
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { venue, asset, paging } = options(matches)?;
            let request = ListVenueAssetsRequest { venue_id: venue, asset_id: asset, ..Default::default() };
            list!(client, paging, venues.list_venue_assets, request, ListVenueAssetsResponse.venue_assets)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this venue.
    #[arg(long, default_value = "", hide_default_value = true)]
    venue: String,
    /// Only those that stand for the asset with this id.
    #[arg(long, default_value = "", hide_default_value = true)]
    asset: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 5] = ["ID", "VENUE", "SEGMENT", "CODE", "ASSET"];

fn row(bound: VenueAsset) -> [String; 5] {
    [bound.id, bound.venue_id, bound.segment, bound.code, bound.asset_id]
}
