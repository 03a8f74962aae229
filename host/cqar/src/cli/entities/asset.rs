//! Assets on the command line.

use clap::Args;
use cqar_proto::v1::{Asset, AssetType, GetAssetRequest, ListAssetsRequest, ListAssetsResponse};

use super::{EntityCommands, Paging, list, name_of, options, show};
use crate::cli::{output::short, parse_value};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    name: "asset",
    name_aliases: &["assets"],
    plural: "assets",
    plural_aliases: &["asset"],
    about: "Lists assets",
    filters: Filters::augment_args,
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server.assets().get_asset(GetAssetRequest { asset_id: id, min_revision, at_revision: 0 }).await?,
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { symbol, kind, show_deleted, paging } = options(matches)?;
            let request =
                ListAssetsRequest { symbol, r#type: kind.unwrap_or_default(), show_deleted, ..Default::default() };
            list!(client, paging, assets.list_assets, request, ListAssetsResponse.assets)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only those with exactly this symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    symbol: String,
    /// Only those of this type, such as stablecoin.
    #[arg(long = "type", value_name = "TYPE", value_parser = read_type)]
    kind: Option<i32>,
    /// Soft-deleted ones too.
    #[arg(long)]
    show_deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 4] = ["ID", "SYMBOL", "TYPE", "NAME"];

fn row(asset: Asset) -> [String; 4] {
    let kind = asset_type(&asset);
    let name = name_of(asset.name, asset.delete_time.is_some());
    [asset.id, asset.symbol, kind, name]
}

/// `COIN`, `TOKEN` …
pub fn asset_type(asset: &Asset) -> String {
    short(AssetType::try_from(asset.r#type).map_or("", |kind| kind.as_str_name()), "ASSET_TYPE_")
}

fn read_type(text: &str) -> Result<i32, String> {
    let name = |value| AssetType::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "ASSET_TYPE_", AssetType::from_str_name, name)
}
