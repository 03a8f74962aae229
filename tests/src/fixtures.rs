//! Entities to write, requests to send, and refusals to read.

use cqar_proto::{
    rpc,
    v1::{
        ApplyRequest, ApplyResponse, Asset, AssetType, Chain, GetStatusRequest, ImportListingOptions,
        ImportListingRequest, ImportListingResponse, Instrument, Market, MarketStatus, Mutation, PerpetualTerms,
        SpotTerms, Venue, VenueAsset, VenueType, asset_service_client::AssetServiceClient,
        chain_service_client::ChainServiceClient, entity::Entity as Kind, import_listing_request::Part,
        instrument::Terms, instrument_service_client::InstrumentServiceClient,
        market_service_client::MarketServiceClient, mutation::Operation,
        registry_service_client::RegistryServiceClient, venue_service_client::VenueServiceClient,
    },
    well_known::Timestamp,
};
use prost::Message as _;
use tonic::{Code, Status, transport::Channel};
use tonic_types::StatusExt as _;

use crate::server::Server;

/// Larger than any answer.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// A client of each service, over one connection.
#[derive(Clone)]
pub struct Clients {
    /// Of assets.
    pub assets: AssetServiceClient<Channel>,
    /// Of chains.
    pub chains: ChainServiceClient<Channel>,
    /// Of venues and their codes.
    pub venues: VenueServiceClient<Channel>,
    /// Of instruments.
    pub instruments: InstrumentServiceClient<Channel>,
    /// Of markets.
    pub markets: MarketServiceClient<Channel>,
    /// Of the registry as a whole.
    pub registry: RegistryServiceClient<Channel>,
}

impl Clients {
    /// Clients of the server.
    pub async fn of(server: &Server) -> Self {
        let channel = server.channel().await;
        Self {
            assets: AssetServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            chains: ChainServiceClient::new(channel.clone()),
            venues: VenueServiceClient::new(channel.clone()),
            instruments: InstrumentServiceClient::new(channel.clone()),
            markets: MarketServiceClient::new(channel.clone()).max_decoding_message_size(MAX_ANSWER_BYTES),
            registry: RegistryServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES),
        }
    }

    /// Applies mutations, all or none.
    pub async fn apply(&mut self, mutations: Vec<Mutation>) -> Result<ApplyResponse, Status> {
        let request = ApplyRequest { mutations, ..ApplyRequest::default() };
        Ok(self.registry.apply(request).await?.into_inner())
    }

    /// Imports a listing.
    pub async fn import(
        &mut self,
        options: ImportListingOptions,
        payload: &[u8],
    ) -> Result<ImportListingResponse, Status> {
        Ok(self.registry.import_listing(import(options, payload)).await?.into_inner())
    }

    /// The newest revision.
    pub async fn revision(&mut self) -> i64 {
        self.registry.get_status(GetStatusRequest {}).await.unwrap().into_inner().revision
    }
}

/// A token.
pub fn asset(symbol: &str) -> Asset {
    Asset { symbol: symbol.into(), name: format!("The {symbol}"), r#type: AssetType::Token.into(), ..Asset::default() }
}

/// A chain.
pub fn chain(id: &str, caip2: &str) -> Chain {
    Chain { id: id.into(), name: id.into(), caip2: caip2.into(), ..Chain::default() }
}

/// An exchange, read by the plugin `symbology-<id>` if it is Binance.
pub fn venue(id: &str) -> Venue {
    let symbology = if id == "binance" { "symbology-binance" } else { "" };
    Venue {
        id: id.into(),
        name: id.into(),
        r#type: VenueType::Cex.into(),
        symbology: symbology.into(),
        is_active: true,
        ..Venue::default()
    }
}

/// A venue's code for an asset.
pub fn venue_asset(venue: &str, code: &str, asset: &str) -> VenueAsset {
    VenueAsset { venue: venue.into(), code: code.into(), asset: asset.into(), ..VenueAsset::default() }
}

/// A spot instrument of two assets.
pub fn spot(base: &str, quote: &str) -> Instrument {
    let terms = Terms::Spot(SpotTerms { base: base.into(), quote: quote.into() });
    Instrument { terms: Some(terms), ..Instrument::default() }
}

/// A linear perpetual.
pub fn perpetual(base: &str, quote: &str) -> Instrument {
    let terms = PerpetualTerms { base: base.into(), quote: quote.into(), settle: quote.into() };
    Instrument { terms: Some(Terms::Perpetual(terms)), ..Instrument::default() }
}

/// A market that trades.
pub fn market(venue: &str, segment: &str, venue_symbol: &str, instrument: &str) -> Market {
    Market {
        venue: venue.into(),
        segment: segment.into(),
        venue_symbol: venue_symbol.into(),
        instrument: instrument.into(),
        status: MarketStatus::Active.into(),
        tick_size: "0.01".into(),
        lot_size: "0.001".into(),
        ..Market::default()
    }
}

/// A mutation without more.
pub fn mutation(operation: Operation) -> Mutation {
    Mutation { operation: Some(operation), ..Mutation::default() }
}

/// A mutation that later ones of the same request refer to.
pub fn named(name: &str, operation: Operation) -> Mutation {
    Mutation { r#ref: name.into(), ..mutation(operation) }
}

/// The id of each entity that mutations came to.
pub fn ids(applied: &ApplyResponse) -> Vec<String> {
    let id = |entity: &Option<Kind>| entity.as_ref().unwrap().id().to_owned();
    applied.results.iter().map(|result| id(&result.entity)).collect()
}

/// A small registry: Bitcoin in two segments of Binance and at a venue that has none.
#[derive(Debug, Clone)]
pub struct SampleRegistry {
    /// BTC.
    pub btc: String,
    /// USDT.
    pub usdt: String,
    /// BTC/USDT.
    pub spot: String,
    /// BTC/USDT:USDT.
    pub perpetual: String,
    /// `BTCUSDT` (alias `BTC-USDT`) in `spot` of `binance`.
    pub binance_spot: String,
    /// `BTCUSDT` in `usdm` of `binance`.
    pub binance_usdm: String,
    /// `XBTUSDT` of `kraken`.
    pub kraken: String,
}

impl SampleRegistry {
    /// Writes it, in one revision.
    pub async fn write(to: &mut Clients) -> Self {
        let aliased = Market { aliases: vec!["BTC-USDT".into()], ..market("binance", "spot", "BTCUSDT", "$spot") };
        let mutations = vec![
            named("btc", Operation::CreateAsset(asset("BTC"))),
            named("usdt", Operation::CreateAsset(asset("USDT"))),
            named("spot", Operation::CreateInstrument(spot("$btc", "$usdt"))),
            named("perpetual", Operation::CreateInstrument(perpetual("$btc", "$usdt"))),
            mutation(Operation::CreateVenue(venue("binance"))),
            mutation(Operation::CreateVenue(venue("kraken"))),
            mutation(Operation::CreateMarket(aliased)),
            mutation(Operation::CreateMarket(market("binance", "usdm", "BTCUSDT", "$perpetual"))),
            mutation(Operation::CreateMarket(market("kraken", "", "XBTUSDT", "$spot"))),
        ];
        let [btc, usdt, spot, perpetual, _, _, binance_spot, binance_usdm, kraken] =
            ids(&to.apply(mutations).await.unwrap()).try_into().unwrap();
        Self { btc, usdt, spot, perpetual, binance_spot, binance_usdm, kraken }
    }
}

/// The messages of an import.
pub fn import(
    options: ImportListingOptions,
    payload: &[u8],
) -> impl futures::Stream<Item = ImportListingRequest> + Send + use<> {
    let chunks: Vec<_> = payload.chunks(64 << 10).map(|chunk| Part::Chunk(chunk.to_vec().into())).collect();
    let parts = std::iter::once(Part::Options(options)).chain(chunks);
    futures::stream::iter(parts.map(|part| ImportListingRequest { part: Some(part) }))
}

/// An instant, such as `2021-09-24T08:00:00Z`.
pub fn time(text: &str) -> Timestamp {
    text.parse::<cqar_domain::time::Timestamp>().unwrap().into()
}

/// Why a call was refused, for programs.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

/// What a refusal says more, for programs.
pub fn says(status: &Status, key: &str) -> Option<String> {
    status.get_details_error_info()?.metadata.get(key).cloned()
}

/// The fields that were wrong, each with the code of what was wrong with it.
pub fn wrong_fields(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_bad_request().map(|found| found.field_violations).unwrap_or_default();
    let code = |description: &str| description.split(':').next().unwrap_or_default().to_owned();
    violations.iter().map(|violation| (violation.field.clone(), code(&violation.description))).collect()
}

/// What stood in the way: the subject of each precondition, and its description.
pub fn preconditions(status: &Status) -> Vec<(String, String)> {
    let violations = status.get_details_precondition_failure().map(|found| found.violations).unwrap_or_default();
    violations.into_iter().map(|violation| (violation.subject, violation.description)).collect()
}

/// The error of one item of a batch as the status that a call of its own would have got.
pub fn status_of(item: &rpc::Status) -> Status {
    Status::with_details(Code::from(item.code), item.message.clone(), item.encode_to_vec().into())
}
