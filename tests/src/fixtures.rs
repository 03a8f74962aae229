//! Entities to write, requests to send, and refusals to read.

use cqar_proto::{
    convert::EntityMessage,
    rpc,
    v1::{
        ApplyRequest, ApplyResponse, Asset, AssetType, BatchResolveMarketsRequest, Binding, Chain, Deployment, Entity,
        EntityKey, Finding, GetStatusRequest, IdentifiedEntity, Identifier, ImportListingOptions, ImportListingRequest,
        ImportListingResponse, ImportProgress, ImportSummary, ImportedMarket, Instrument, ListingSource, Market,
        MarketStatus, Mutation, PerpetualTerms, RateKind, Relationship, RelationshipType, ResolveMarketRequest,
        SpotTerms, TokenStandard, Venue, VenueAsset, VenueType, asset_service_client::AssetServiceClient,
        batch_resolve_markets_request::Item, chain_service_client::ChainServiceClient, entity::Entity as Kind,
        entity_key::Key, identified_entity::Entity as Identified, identifier_service_client::IdentifierServiceClient,
        import_listing_request::Part, import_listing_response::Step, instrument::Terms,
        instrument_service_client::InstrumentServiceClient, market_service_client::MarketServiceClient,
        mutation::Operation, registry_service_client::RegistryServiceClient, venue_service_client::VenueServiceClient,
    },
    well_known::Timestamp,
};

use tonic::{Status, Streaming, transport::Channel};
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
    /// Of what others call entities.
    pub identifiers: IdentifierServiceClient<Channel>,
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
            identifiers: IdentifierServiceClient::new(channel.clone()),
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
    pub async fn import(&mut self, options: ImportListingOptions, payload: &[u8]) -> Result<Imported, Status> {
        Imported::receive(self.registry.import_listing(import(options, payload)).await?.into_inner()).await
    }

    /// The newest revision.
    pub async fn revision(&mut self) -> i64 {
        self.registry.get_status(GetStatusRequest {}).await.unwrap().into_inner().revision
    }
}

/// What an import answered, its rows together. Its summary is read as its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Imported {
    /// What came before the commit.
    pub progress: Vec<ImportProgress>,
    /// How many messages of rows came.
    pub messages: usize,
    /// Every market that was created, updated, delisted or rejected.
    pub markets: Vec<ImportedMarket>,
    /// Codes that were bound.
    pub bindings: Vec<Binding>,
    /// What validators warned of.
    pub warnings: Vec<Finding>,
    /// What the whole still needs.
    pub sources: Vec<ListingSource>,
    summary: ImportSummary,
}

impl Imported {
    /// Receives all of an answer.
    pub async fn receive(mut steps: Streaming<ImportListingResponse>) -> Result<Self, Status> {
        let mut imported = Self::default();
        while let Some(response) = steps.message().await? {
            imported.take(response.step.unwrap());
        }
        assert_ne!(imported.summary, ImportSummary::default(), "the stream ended without its summary");
        Ok(imported)
    }

    /// Takes the next step. Progress comes first, the summary last.
    fn take(&mut self, step: Step) {
        assert_eq!(self.summary, ImportSummary::default(), "something came after the summary");
        match step {
            Step::Progress(progress) => {
                assert_eq!(self.messages, 0, "progress came after rows");
                self.progress.push(progress);
            }
            Step::Rows(rows) => {
                self.messages += 1;
                self.markets.extend(rows.markets);
                self.bindings.extend(rows.bindings);
                self.warnings.extend(rows.warnings);
                self.sources.extend(rows.more);
            }
            Step::Summary(summary) => self.summary = summary,
        }
    }
}

impl std::ops::Deref for Imported {
    type Target = ImportSummary;

    fn deref(&self) -> &ImportSummary {
        &self.summary
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

/// A token at an address of a chain.
pub fn deployment(chain: &str, address: &str, asset: &str) -> Deployment {
    Deployment {
        asset_id: asset.into(),
        chain_id: chain.into(),
        address: address.into(),
        decimals: Some(6),
        standard: TokenStandard::Erc20.into(),
        ..Deployment::default()
    }
}

/// What a source calls an entity.
pub fn identifier(of: Identified, source: &str, external_id: &str) -> Identifier {
    Identifier {
        entity: Some(IdentifiedEntity { entity: Some(of) }),
        source: source.into(),
        external_id: external_id.into(),
        ..Identifier::default()
    }
}

/// What an asset is of another, at a fixed rate.
pub fn relationship(from: &str, to: &str, of_type: RelationshipType, rate: &str) -> Relationship {
    Relationship {
        from_asset_id: from.into(),
        to_asset_id: to.into(),
        r#type: of_type.into(),
        rate_kind: RateKind::Fixed.into(),
        conversion_rate: rate.into(),
        ..Relationship::default()
    }
}

/// An exchange, read by the plugin `symbology-<id>` if it is Binance.
pub fn venue(id: &str) -> Venue {
    let symbology = if id == "binance" { "symbology-binance" } else { "" };
    Venue {
        id: id.into(),
        name: id.into(),
        r#type: VenueType::Cex.into(),
        symbology: symbology.into(),
        ..Venue::default()
    }
}

/// A venue's code for an asset.
pub fn venue_asset(venue: &str, code: &str, asset: &str) -> VenueAsset {
    VenueAsset { venue_id: venue.into(), code: code.into(), asset_id: asset.into(), ..VenueAsset::default() }
}

/// A spot instrument of two assets.
pub fn spot(base: &str, quote: &str) -> Instrument {
    let terms = Terms::Spot(SpotTerms { base_asset_id: base.into(), quote_asset_id: quote.into() });
    Instrument { terms: Some(terms), ..Instrument::default() }
}

/// A linear perpetual.
pub fn perpetual(base: &str, quote: &str) -> Instrument {
    let terms =
        PerpetualTerms { base_asset_id: base.into(), quote_asset_id: quote.into(), settle_asset_id: quote.into() };
    Instrument { terms: Some(Terms::Perpetual(terms)), ..Instrument::default() }
}

/// A market that trades.
pub fn market(venue: &str, segment: &str, venue_symbol: &str, instrument: &str) -> Market {
    Market {
        venue_id: venue.into(),
        segment: segment.into(),
        venue_symbol: venue_symbol.into(),
        instrument_id: instrument.into(),
        status: MarketStatus::Active.into(),
        tick_size: "0.01".into(),
        lot_size: "0.001".into(),
        ..Market::default()
    }
}

/// The requests as one batch; all have the same `min_revision` and `allow_inferred`.
pub fn batch_of(requests: &[ResolveMarketRequest]) -> BatchResolveMarketsRequest {
    let item = |request: &ResolveMarketRequest| Item {
        venue_id: request.venue_id.clone(),
        venue_symbol: request.venue_symbol.clone(),
        segment: request.segment.clone(),
        as_of: request.as_of,
    };
    BatchResolveMarketsRequest {
        requests: requests.iter().map(item).collect(),
        min_revision: requests.first().map_or(0, |it| it.min_revision),
        at_revision: 0,
        allow_inferred: requests.first().is_some_and(|it| it.allow_inferred),
    }
}

/// The creation of an entity.
pub fn create(entity: impl EntityMessage) -> Operation {
    Operation::Create(Entity { entity: Some(entity.wrap()) })
}

/// The update of an entity.
pub fn update(entity: impl EntityMessage) -> Operation {
    Operation::Update(Entity { entity: Some(entity.wrap()) })
}

/// The deletion of an entity.
pub fn delete(key: Key) -> Operation {
    Operation::Delete(EntityKey { key: Some(key) })
}

/// The end of a deletion.
pub fn undelete(key: Key) -> Operation {
    Operation::Undelete(EntityKey { key: Some(key) })
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
    /// `XBTUSDT` of `kraken`; and there is the chain `testnet`.
    pub kraken: String,
}

impl SampleRegistry {
    /// Writes it, in one revision.
    pub async fn write(to: &mut Clients) -> Self {
        let aliased = Market { aliases: vec!["BTC-USDT".into()], ..market("binance", "spot", "BTCUSDT", "$spot") };
        let mutations = vec![
            named("btc", create(asset("BTC"))),
            named("usdt", create(asset("USDT"))),
            named("spot", create(spot("$btc", "$usdt"))),
            named("perpetual", create(perpetual("$btc", "$usdt"))),
            mutation(create(venue("binance"))),
            mutation(create(venue("kraken"))),
            mutation(create(aliased)),
            mutation(create(market("binance", "usdm", "BTCUSDT", "$perpetual"))),
            mutation(create(market("kraken", "", "XBTUSDT", "$spot"))),
            mutation(create(chain("testnet", "eip155:11155111"))),
        ];
        let [btc, usdt, spot, perpetual, _, _, binance_spot, binance_usdm, kraken, _] =
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
    item.into()
}
