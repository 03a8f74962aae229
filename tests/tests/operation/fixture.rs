//! Requests, and a listing that is made up.

use cqar_proto::v1::{
    ApplyRequest, ApplyResponse, Asset, AssetType, ImportListingOptions, ImportListingRequest, ImportListingResponse,
    Market, MarketStatus, Mutation, import_listing_request::Part, mutation::Operation,
};
use cqar_tests::server::Server;
use serde_json::json;
use tonic::Status;
use tonic_types::StatusExt as _;

/// A token.
pub fn asset(symbol: &str) -> Asset {
    Asset { symbol: symbol.into(), name: format!("The {symbol}"), r#type: AssetType::Token.into(), ..Asset::default() }
}

/// A market that trades.
pub fn market(venue: &str, venue_symbol: &str, instrument: &str) -> Market {
    Market {
        venue: venue.into(),
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

/// Applies mutations.
pub async fn apply(server: &Server, mutations: Vec<Mutation>) -> Result<ApplyResponse, Status> {
    let request = ApplyRequest { mutations, ..ApplyRequest::default() };
    Ok(server.registry().await.apply(request).await?.into_inner())
}

/// The id of the starter's instrument with this code.
pub async fn instrument(server: &Server, code: &str) -> String {
    use cqar_proto::v1::{
        GetInstrumentRequest, get_instrument_request::Key, instrument_service_client::InstrumentServiceClient,
    };
    let request = GetInstrumentRequest { key: Some(Key::Code(code.into())), min_revision: 0 };
    InstrumentServiceClient::new(server.channel().await).get_instrument(request).await.unwrap().into_inner().id
}

/// A spot listing of Binance with so many markets, each of a code of its own.
pub fn listing(prefix: &str, markets: usize) -> Vec<u8> {
    let market = |n: usize| {
        let base = format!("{prefix}{n}");
        json!({
            "symbol": format!("{base}USDT"), "status": "TRADING", "baseAsset": base, "quoteAsset": "USDT",
            "isSpotTradingAllowed": true, "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000.00", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000.0", "stepSize": "0.001"},
            ],
        })
    };
    serde_json::to_vec(&json!({"symbols": (0..markets).map(market).collect::<Vec<_>>()})).unwrap()
}

/// How such a listing is imported.
pub fn into_binance() -> ImportListingOptions {
    ImportListingOptions { venue: "binance".into(), create_missing_assets: true, ..ImportListingOptions::default() }
}

/// The messages of an import.
pub fn import(
    options: ImportListingOptions,
    payload: &[u8],
) -> impl futures::Stream<Item = ImportListingRequest> + use<> {
    let chunks: Vec<_> = payload.chunks(64 << 10).map(|chunk| Part::Chunk(chunk.to_vec().into())).collect();
    let parts = std::iter::once(Part::Options(options)).chain(chunks);
    futures::stream::iter(parts.map(|part| ImportListingRequest { part: Some(part) }))
}

/// Imports a listing.
pub async fn import_listing(
    server: &Server,
    options: ImportListingOptions,
    payload: &[u8],
) -> Result<ImportListingResponse, Status> {
    Ok(server.registry().await.import_listing(import(options, payload)).await?.into_inner())
}

/// Why a call was refused.
pub fn reason(status: &Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}
