//! The codes by which venues know assets on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{GetVenueAssetRequest, ListVenueAssetsRequest, ListVenueAssetsResponse, VenueAsset};

use super::{
    EntityCommands, Labels, Lookup, MAX_PAGE_SIZE, Paging, id_filter, list,
    name::{self, AtVenue, Candidate},
    options, show, yes,
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
            let Filters { venue, asset, segment, code, paging } = options(matches)?;
            let asset_id = id_filter(client, EntityType::Asset, &asset).await?;
            let request = ListVenueAssetsRequest { venue_id: venue, asset_id, segment, code, ..Default::default() };
            list!(client, paging, venues.list_venue_assets, request, ListVenueAssetsResponse.venue_assets, assets of |it| [it.asset_id.clone()])
        })
    },
};

/// By the venue, the segment and the code: `binance/spot/BTC`, `kraken/XXBT`.
async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let readings = AtVenue::readings(name);
    if readings.is_empty() {
        return Err(AtVenue::unreadable("venue asset", name));
    }
    let mut candidates: Vec<Candidate> = Vec::new();
    for AtVenue { venue, segment, symbol } in readings {
        let request = ListVenueAssetsRequest {
            venue_id: venue.to_owned(),
            segment: segment.map(str::to_owned),
            code: symbol.to_owned(),
            min_revision: lookup.min_revision,
            page_size: MAX_PAGE_SIZE,
            ..Default::default()
        };
        let found = server.venues().list_venue_assets(request).await?.into_inner().venue_assets;
        candidates.extend(found.into_iter().map(|bound| Candidate {
            described: format!("{} in segment {:?}", bound.code, bound.segment),
            id: bound.id,
            is_deleted: false,
        }));
    }
    name::one("venue asset", name, candidates, lookup)
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this venue.
    #[arg(long, default_value = "", hide_default_value = true)]
    venue: String,
    /// Only those that stand for this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    asset: String,
    /// Only what is bound in this segment; '' for what is bound for all of them.
    #[arg(long)]
    segment: Option<String>,
    /// Only what the venue knows by this code.
    #[arg(long, default_value = "", hide_default_value = true)]
    code: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 7] = ["VENUE", "SEGMENT", "CODE", "TRADING", "NETWORKS", "ASSET", "ID"];

fn row(bound: VenueAsset, assets: &Labels) -> [String; 7] {
    let trading = yes(bound.is_trading_enabled.unwrap_or(true));
    let networks = bound.networks.into_iter().map(|it| it.network).collect::<Vec<_>>().join(" ");
    [bound.venue_id, bound.segment, bound.code, trading, networks, assets.of(&bound.asset_id), bound.id]
}
