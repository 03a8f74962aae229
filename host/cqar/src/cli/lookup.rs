//! `cqar lookup`: what is at an address of a chain, what a source's id names, what a venue knows by a code.

use clap::{Args, Subcommand};
use cqar_proto::{
    rpc,
    v1::{
        Asset, BatchResolveDeploymentsRequest, BatchResolveIdentifiersRequest, BatchResolveVenueAssetsRequest,
        DeploymentPlace, ResolveDeploymentResponse, ResolveIdentifierResponse, ResolveVenueAssetResponse,
        ResolvedNetwork,
        batch_resolve_deployments_response::{self, result::Result as FoundDeployment},
        batch_resolve_identifiers_response::{self, result::Result as FoundIdentifier},
        batch_resolve_venue_assets_request::Item,
        batch_resolve_venue_assets_response::{self, result::Result as FoundVenueAsset},
        entity::Entity,
    },
};
use serde::Serialize;
use tonic::{Code, Status};

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT, one_each},
    entities::{AtVenue, external_id, place, printed_name, printed_name_of, token_standard},
    error::{CliError, Exit, describe},
    output::{self, OutputFormat},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar lookup deployment ethereum/0xA0b86991c6218b36c1d19D4a2e9Eb0cE3606eB48
  cqar lookup deployment eip155:1/slip44:60 solana/EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v
  cqar lookup identifier coingecko/usd-coin dti/4H95J0R2X
  cqar lookup venue-asset binance/USDT
  cqar lookup venue-asset okx/USDT --network USDT-TRC20 --output json

JSON and YAML have `results`, in the order of the names, each either `resolved` or `error`. A table
has what was found, and the standard error why the others were not. The exit code is that of the
first name that means nothing.")]
pub struct LookupArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Says what is at an address of a chain, or has a CAIP-19 id.
    Deployment(Names),
    /// Says what a source's id names.
    Identifier(Names),
    /// Says what a venue knows by a code, and by which networks it moves.
    #[command(alias = "venue_asset")]
    VenueAsset {
        #[command(flatten)]
        names: Names,
        /// Only this network, by the venue's code for it.
        #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
        network: String,
    },
}

#[derive(Debug, Args)]
struct Names {
    /// What to look up: CHAIN/ADDRESS or a CAIP-19 id; SOURCE/ID; VENUE/CODE or VENUE/SEGMENT/CODE.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

/// Answers to so many fit into the 4 MiB that most clients accept.
const BATCH: usize = 1000;

/// Looks the names up.
pub async fn run(args: LookupArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let format = client.format();
    match args.what {
        What::Deployment(names) => deployments(&names, &server, format).await,
        What::Identifier(names) => identifiers(&names, &server, format).await,
        What::VenueAsset { names, network } => venue_assets(&names, &network, &server, format).await,
    }
}

/// A result of a batch, of any type, and what of it is shown in so many columns.
trait Found<const COLUMNS: usize>: Serialize {
    /// The headers of the table: the name first.
    const HEADERS: [&'static str; COLUMNS];

    /// Why there is none.
    fn error(&self) -> Option<&rpc::Status>;
    /// The names of entities that `--output name` prints.
    fn names(&self) -> Vec<String>;
    /// The rows of the table; none of what is not found.
    fn rows(&self, name: &str) -> Vec<[String; COLUMNS]>;
}

#[derive(Serialize)]
struct Results<'a, F> {
    results: &'a [F],
}

fn show<F: Found<COLUMNS>, const COLUMNS: usize>(
    names: &[String],
    results: &[F],
    format: OutputFormat,
) -> Result<Exit, CliError> {
    let errors = names.iter().zip(results).enumerate().filter_map(|(n, (name, it))| Some((n, name, it.error()?)));
    let mut errors = errors.peekable();
    let first = errors.peek().map(|(.., error)| *error);
    if let ([_], Some(error), OutputFormat::Table | OutputFormat::Name) = (results, first, format) {
        return Err(Status::from(error).into());
    }
    if !format.print_named(&Results { results }, results.iter().flat_map(Found::names))? {
        let mut rows = names.iter().zip(results).flat_map(|(name, it)| it.rows(name)).peekable();
        if rows.peek().is_some() {
            output::table(F::HEADERS, rows)?;
        }
    }
    // Programs find them in their places.
    if matches!(format, OutputFormat::Table | OutputFormat::Name) {
        for (n, name, error) in errors {
            // Nobody wrote its place in a request.
            let told = describe(&Status::from(error)).replace(&format!("requests[{}].", n % BATCH), "");
            eprintln!("{} {name}: {told}", output::red_on_stderr("error:"));
        }
    }
    Ok(first.map_or(Exit::Done, |error| Code::from(error.code).into()))
}

async fn deployments(args: &Names, server: &Connection, format: OutputFormat) -> Result<Exit, CliError> {
    let mut results = Vec::with_capacity(args.names.len());
    for names in args.names.chunks(BATCH) {
        let places = names.iter().map(|name| Ok(DeploymentPlace { place: Some(place(name)?) }));
        let requests = places.collect::<Result<_, CliError>>()?;
        let request = BatchResolveDeploymentsRequest { requests, min_revision: args.min_revision, at_revision: 0 };
        let answer = server.assets().batch_resolve_deployments(request).await?.into_inner();
        results.extend(one_each(names.len(), answer.results)?);
    }
    show(&args.names, &results, format)
}

impl Found<8> for batch_resolve_deployments_response::Result {
    const HEADERS: [&'static str; 8] =
        ["NAME", "ASSET", "CHAIN", "STANDARD", "DECIMALS", "CANONICAL", "DEPLOYMENT", "ADDRESS"];

    fn error(&self) -> Option<&rpc::Status> {
        if let Some(FoundDeployment::Error(error)) = &self.result { Some(error) } else { None }
    }

    fn names(&self) -> Vec<String> {
        let Some(FoundDeployment::Resolved(ResolveDeploymentResponse { deployment: Some(it), .. })) = &self.result
        else {
            return Vec::new();
        };
        vec![printed_name(it)]
    }

    fn rows(&self, name: &str) -> Vec<[String; 8]> {
        let Some(FoundDeployment::Resolved(found)) = &self.result else { return Vec::new() };
        let deployment = found.deployment.clone().unwrap_or_default();
        vec![[
            name.to_owned(),
            symbol(found.asset.as_ref()),
            deployment.chain_id.clone(),
            token_standard(&deployment),
            deployment.decimals.unwrap_or_default().to_string(),
            flag(deployment.is_canonical),
            deployment.id,
            deployment.address,
        ]]
    }
}

async fn identifiers(args: &Names, server: &Connection, format: OutputFormat) -> Result<Exit, CliError> {
    let mut results = Vec::with_capacity(args.names.len());
    for names in args.names.chunks(BATCH) {
        let requests = names.iter().map(|name| external_id(name)).collect::<Result<_, CliError>>()?;
        let request = BatchResolveIdentifiersRequest { requests, min_revision: args.min_revision, at_revision: 0 };
        let answer = server.identifiers().batch_resolve_identifiers(request).await?.into_inner();
        results.extend(one_each(names.len(), answer.results)?);
    }
    show(&args.names, &results, format)
}

impl Found<4> for batch_resolve_identifiers_response::Result {
    const HEADERS: [&'static str; 4] = ["NAME", "ASSET", "CALLED", "ENTITY"];

    fn error(&self) -> Option<&rpc::Status> {
        if let Some(FoundIdentifier::Error(error)) = &self.result { Some(error) } else { None }
    }

    fn names(&self) -> Vec<String> {
        let Some(FoundIdentifier::Resolved(ResolveIdentifierResponse { entity: Some(entity), .. })) = &self.result
        else {
            return Vec::new();
        };
        entity.entity.iter().map(printed_name_of).collect()
    }

    fn rows(&self, name: &str) -> Vec<[String; 4]> {
        let Some(FoundIdentifier::Resolved(found)) = &self.result else { return Vec::new() };
        let entity = found.entity.as_ref().and_then(|it| it.entity.as_ref());
        let asset = if let Some(Entity::Asset(asset)) = entity { Some(asset) } else { found.asset.as_ref() };
        let (called, entity) = entity.map(|it| (it.label().to_owned(), printed_name_of(it))).unwrap_or_default();
        vec![[name.to_owned(), symbol(asset), called, entity]]
    }
}

async fn venue_assets(
    args: &Names,
    network: &str,
    server: &Connection,
    format: OutputFormat,
) -> Result<Exit, CliError> {
    let mut results = Vec::with_capacity(args.names.len());
    for names in args.names.chunks(BATCH) {
        let item = |name: &String| {
            // A code may look like a segment: the first reading counts, as it says more.
            let readings = AtVenue::readings(name);
            let AtVenue { venue, segment, symbol } =
                readings.first().ok_or_else(|| AtVenue::unreadable("venue asset", name))?;
            Ok(Item {
                venue_id: (*venue).to_owned(),
                code: (*symbol).to_owned(),
                segment: segment.map(str::to_owned),
                network: network.to_owned(),
            })
        };
        let requests = names.iter().map(item).collect::<Result<_, CliError>>()?;
        let request = BatchResolveVenueAssetsRequest { requests, min_revision: args.min_revision, at_revision: 0 };
        let answer = server.venues().batch_resolve_venue_assets(request).await?.into_inner();
        results.extend(one_each(names.len(), answer.results)?);
    }
    show(&args.names, &results, format)
}

impl Found<11> for batch_resolve_venue_assets_response::Result {
    const HEADERS: [&'static str; 11] =
        ["NAME", "ASSET", "TRADING", "NETWORK", "CHAIN", "DEPOSIT", "WITHDRAW", "FEE", "MEMO", "WARNING", "DEPLOYMENT"];

    fn error(&self) -> Option<&rpc::Status> {
        if let Some(FoundVenueAsset::Error(error)) = &self.result { Some(error) } else { None }
    }

    fn names(&self) -> Vec<String> {
        let Some(FoundVenueAsset::Resolved(ResolveVenueAssetResponse { venue_asset: Some(it), .. })) = &self.result
        else {
            return Vec::new();
        };
        vec![printed_name(it)]
    }

    /// A row for each network, or one where there is none.
    fn rows(&self, name: &str) -> Vec<[String; 11]> {
        let Some(FoundVenueAsset::Resolved(found)) = &self.result else { return Vec::new() };
        let is_trading = found.venue_asset.as_ref().and_then(|it| it.is_trading_enabled);
        let row = |network: ResolvedNetwork, warning: String| {
            let said = network.network.unwrap_or_default();
            let deployment = network.deployment.map(|it| it.id).unwrap_or_default();
            let [deposit, withdraw, memo] =
                [said.is_deposit_enabled, said.is_withdraw_enabled, said.is_memo_required].map(flag);
            let (name, asset, trading) = (name.to_owned(), symbol(found.asset.as_ref()), flag(is_trading));
            let (network, chain, fee) = (said.network, network.chain_id, said.withdraw_fee);
            [name, asset, trading, network, chain, deposit, withdraw, fee, memo, warning, deployment]
        };
        if found.networks.is_empty() {
            return vec![row(ResolvedNetwork::default(), String::new())];
        }
        let warned = |n: usize| {
            let path = format!("networks[{n}]");
            found.warnings.iter().filter(|it| it.path == path).map(|it| it.code.as_str()).collect::<Vec<_>>().join(" ")
        };
        found.networks.iter().cloned().enumerate().map(|(n, network)| row(network, warned(n))).collect()
    }
}

/// What is not said is not made up.
fn flag(flag: Option<bool>) -> String {
    flag.map_or("", |flag| if flag { "yes" } else { "no" }).to_owned()
}

fn symbol(asset: Option<&Asset>) -> String {
    asset.map(|asset| asset.symbol.clone()).unwrap_or_default()
}
