//! Assets on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{Asset, AssetType, GetAssetRequest, ListAssetsRequest, ListAssetsResponse};

use super::{
    EntityCommands, Lookup, MAX_PAGE_SIZE, Paging, list,
    name::{self, Candidate},
    name_of, options, show,
};
use crate::cli::{
    client::Connection,
    error::CliError,
    output::{OutputFormat, short},
    parse_value,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Asset,
    name: "asset",
    name_aliases: &["assets"],
    plural: "assets",
    plural_aliases: &["asset"],
    described: "an asset",
    many_described: "assets",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .assets()
                    .get_asset(GetAssetRequest { asset_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { symbol, name, kind, category, label, show_deleted, paging } = options(matches)?;
            let r#type = kind.unwrap_or_default();
            let request =
                ListAssetsRequest { symbol, name, r#type, category, label, show_deleted, ..Default::default() };
            list!(client, paging, assets.list_assets, request, ListAssetsResponse.assets)
        })
    },
};

/// By its symbol.
async fn find(server: &Connection, symbol: &str, lookup: Lookup) -> Result<String, CliError> {
    let request = ListAssetsRequest {
        symbol: symbol.to_owned(),
        show_deleted: true,
        min_revision: lookup.min_revision,
        page_size: MAX_PAGE_SIZE,
        ..Default::default()
    };
    let found = server.assets().list_assets(request).await?.into_inner().assets;
    let candidate = |asset: Asset| Candidate {
        described: format!("{} {}, {}", asset.symbol, asset.name, asset_type(&asset)),
        is_deleted: asset.delete_time.is_some(),
        id: asset.id,
    };
    name::one("asset", symbol, found.into_iter().map(candidate).collect(), lookup)
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those with exactly this symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    symbol: String,
    /// Only those with exactly this name.
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// Only those of this category, such as meme.
    #[arg(long, default_value = "", hide_default_value = true)]
    category: String,
    /// Only those with this label, or with any value of it.
    #[arg(long, value_name = "KEY[=VALUE]", default_value = "", hide_default_value = true)]
    label: String,
    /// Only those of this type, such as stablecoin.
    #[arg(long = "type", value_name = "TYPE", value_parser = read_type)]
    kind: Option<i32>,
    /// Soft-deleted ones too.
    #[arg(long)]
    show_deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 4] = ["SYMBOL", "TYPE", "NAME", "ID"];

fn row(asset: Asset) -> [String; 4] {
    let kind = asset_type(&asset);
    let name = name_of(asset.name, asset.delete_time.is_some());
    [asset.symbol, kind, name, asset.id]
}

/// `COIN`, `TOKEN` …
pub fn asset_type(asset: &Asset) -> String {
    short(AssetType::try_from(asset.r#type).map_or("", |kind| kind.as_str_name()), "ASSET_TYPE_")
}

fn read_type(text: &str) -> Result<i32, String> {
    let name = |value| AssetType::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "ASSET_TYPE_", AssetType::from_str_name, name)
}
