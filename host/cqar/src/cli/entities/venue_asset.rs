//! The codes by which venues know assets on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{GetVenueAssetRequest, ListVenueAssetsRequest, ListVenueAssetsResponse, VenueAsset};

use super::{
    EntityCommands, Lookup, MAX_PAGE_SIZE, Paging, id_filter, list,
    name::{self, AtVenue, Candidate},
    options, show,
};
use crate::cli::{client::Connection, error::CliError, output::OutputFormat};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::VenueAsset,
    name: "venue-asset",
    name_aliases: &["venue-assets", "venue_asset", "venue_assets"],
    plural: "venue-assets",
    plural_aliases: &["venue-asset", "venue_assets", "venue_asset"],
    described: "the code by which a venue knows an asset",
    many_described: "the codes by which venues know assets",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .venues()
                    .get_venue_asset(GetVenueAssetRequest { venue_asset_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { venue, asset, paging } = options(matches)?;
            let asset = id_filter(client, EntityType::Asset, &asset).await?;
            let request = ListVenueAssetsRequest { venue_id: venue, asset_id: asset, ..Default::default() };
            list!(client, paging, venues.list_venue_assets, request, ListVenueAssetsResponse.venue_assets)
        })
    },
};

/// By the venue, the segment and the code: `binance/spot/BTC`, `kraken/XXBT`.
async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let readings = AtVenue::readings(name);
    let Some(AtVenue { venue, .. }) = readings.first() else {
        return Err(AtVenue::unreadable("venue asset", name));
    };
    let is_meant = |bound: &VenueAsset| {
        let is_it = |it: &AtVenue<'_>| it.symbol == bound.code && it.segment.is_none_or(|it| it == bound.segment);
        readings.iter().any(is_it)
    };
    let mut request = ListVenueAssetsRequest {
        venue_id: (*venue).to_owned(),
        min_revision: lookup.min_revision,
        page_size: MAX_PAGE_SIZE,
        ..Default::default()
    };
    let mut candidates = Vec::new();
    loop {
        let page = server.venues().list_venue_assets(request.clone()).await?.into_inner();
        candidates.extend(page.venue_assets.into_iter().filter(is_meant).map(|bound| Candidate {
            described: format!("{} in segment {:?}", bound.code, bound.segment),
            id: bound.id,
            is_deleted: false,
        }));
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return name::one("venue asset", name, candidates, lookup);
        }
    }
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this venue.
    #[arg(long, default_value = "", hide_default_value = true)]
    venue: String,
    /// Only those that stand for this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    asset: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 5] = ["VENUE", "SEGMENT", "CODE", "ASSET", "ID"];

fn row(bound: VenueAsset) -> [String; 5] {
    [bound.venue_id, bound.segment, bound.code, bound.asset_id, bound.id]
}
