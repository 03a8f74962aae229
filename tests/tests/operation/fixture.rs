//! Requests, and a listing that is made up.

use cqar_proto::v1::{ApplyRequest, ApplyResponse, ImportListingOptions, Market, Mutation};
pub use cqar_tests::fixtures::{Imported, asset, create, delete, import, mutation, reason, undelete, update};
use cqar_tests::{fixtures, server::Server};
use serde_json::json;
use tonic::Status;

/// A market that trades, at a venue without segments.
pub fn market(venue: &str, venue_symbol: &str, instrument: &str) -> Market {
    fixtures::market(venue, "", venue_symbol, instrument)
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
    let request = GetInstrumentRequest { key: Some(Key::Code(code.into())), ..Default::default() };
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
    ImportListingOptions { venue_id: "binance".into(), create_missing_assets: true, ..ImportListingOptions::default() }
}

/// Imports a listing.
pub async fn import_listing(
    server: &Server,
    options: ImportListingOptions,
    payload: &[u8],
) -> Result<Imported, Status> {
    fixtures::Clients::of(server).await.import(options, payload).await
}
