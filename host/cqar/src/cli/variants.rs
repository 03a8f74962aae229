//! `cqar variants`: the other forms of an asset.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{ListVariantsRequest, ListVariantsResponse, Relationship, VariantPath, VariantStep};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    entities::{EntityCommands, Labels, Lookup, printed_name},
    error::{CliError, Exit},
    output,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar variants ETH
  cqar variants stETH --max-depth 2
  cqar variants BTC --output json

A row is a way from the asset to another form of it: `<` leads to a derivative, `>` to the
underlying. The rate is how many units of the asset one unit of the other form is. What any of
them is migrated to is told after them.")]
pub struct VariantsArgs {
    /// The asset: its id, or its symbol.
    asset: String,
    /// Only ways of at most so many relationships.
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, value_parser = clap::value_parser!(i32).range(0..))]
    max_depth: i32,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

/// The most that a server gives in one page.
const PAGE: i32 = 1000;

/// Lists the variants, all pages as one.
pub async fn run(args: VariantsArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let lookup = Lookup { min_revision: args.min_revision, ..Lookup::default() };
    let asset_id = EntityCommands::of(EntityType::Asset).id_of(&server, &args.asset, lookup).await?;
    let VariantsArgs { max_depth, min_revision, .. } = args;
    let mut request = ListVariantsRequest { page_size: PAGE, asset_id, max_depth, min_revision, ..Default::default() };
    let mut whole = ListVariantsResponse { revision: i64::MAX, ..ListVariantsResponse::default() };
    loop {
        let page = server.assets().list_variants(request.clone()).await?.into_inner();
        whole.variants.extend(page.variants);
        // All of it is at least of the oldest.
        whole.revision = whole.revision.min(page.revision);
        (whole.root_asset_ids, whole.migrations) = (page.root_asset_ids, page.migrations);
        whole.has_deeper = page.has_deeper;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let names = whole.variants.iter().filter_map(|it| it.asset.as_ref()).map(printed_name);
    if !client.format().print_named(&whole, names)? {
        let symbols = Labels::assets(&server, mentioned(&whole)).await?;
        let rows = whole.variants.iter().flat_map(|variant| {
            let id = variant.asset.as_ref().map(|it| it.id.clone()).unwrap_or_default();
            variant.paths.iter().map(move |path| (id.clone(), path))
        });
        let rows = rows.map(|(id, path)| [symbols.of(&id), rate(path), way(path, &symbols), id]);
        output::table(["ASSET", "RATE", "BY", "ID"], rows)?;
        if !whole.migrations.is_empty() {
            output::line("")?;
            output::table(
                ["ASSET", "MIGRATES TO", "RATE", "ID"],
                whole.migrations.iter().map(|it| migration(it, &symbols)),
            )?;
        }
        if whole.has_deeper {
            eprintln!("there are longer ways: a larger --max-depth");
        }
    }
    Ok(Exit::Done)
}

/// The ids of all assets that the tables name.
fn mentioned(whole: &ListVariantsResponse) -> impl Iterator<Item = String> {
    let variants = whole.variants.iter().filter_map(|it| it.asset.as_ref()).map(|it| &it.id);
    let steps = whole.variants.iter().flat_map(|it| &it.paths).flat_map(|it| &it.steps).map(|it| &it.asset_id);
    let migrations = whole.migrations.iter().flat_map(|it| [&it.from_asset_id, &it.to_asset_id]);
    variants.chain(steps).chain(migrations).cloned()
}

fn migration(of: &Relationship, symbols: &Labels) -> [String; 4] {
    let [from, to] = [&of.from_asset_id, &of.to_asset_id].map(|id| symbols.of(id));
    [from, to, of.conversion_rate.clone(), of.id.clone()]
}

fn rate(path: &VariantPath) -> String {
    match (path.rate_numerator.as_str(), path.rate_denominator.as_str()) {
        // The server composes no rate of 257 digits; the rates of the steps tell it.
        ("", _) if path.unknown_relationship_ids.is_empty() => "too long".to_owned(),
        ("", _) => "unknown".to_owned(),
        (numerator, "1") => numerator.to_owned(),
        (numerator, denominator) => format!("{numerator} / {denominator}"),
    }
}

fn way(path: &VariantPath, symbols: &Labels) -> String {
    let step = |step: &VariantStep| {
        let direction = if step.is_to_underlying { '>' } else { '<' };
        let kind = output::short(step.r#type().as_str_name(), "RELATIONSHIP_TYPE_").to_ascii_lowercase();
        format!("{direction} {kind} {}", symbols.of(&step.asset_id))
    };
    path.steps.iter().map(step).collect::<Vec<_>>().join(" ")
}
