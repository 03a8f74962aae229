//! The registry under test: the real binary, with keys, metrics and traces on, and as many markets as a row needs.

use anyhow::{Context, bail, ensure};
use cqar_proto::v1::{
    self, GetStatusRequest, ImportListingOptions, batch_resolve_markets_response::result::Result as Resolved,
    registry_service_client::RegistryServiceClient,
};
use cqar_tests::{
    fixtures::{self, Imported},
    postgres::Postgres,
    server::{Options, Server},
};
use prost::Message;
use serde_json::json;
use tonic::transport::Channel;

use crate::{
    collector::OtlpCollector,
    load::{EncodedClient, Target},
};

/// The method of the first row.
pub(crate) const RESOLVE: &str = "/cqar.v1.MarketService/ResolveMarket";
/// The same for many symbols.
pub(crate) const BATCH_RESOLVE: &str = "/cqar.v1.MarketService/BatchResolveMarkets";
/// What the bases of its markets begin with.
const BASES: &str = "BENCH";
/// The key that the registry is called with.
pub(crate) const KEY: &str = "the-key-of-the-benchmarks";

/// Which database the registry has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Database {
    /// The embedded one.
    Sqlite,
    /// A server of its own.
    Postgres,
}

impl std::fmt::Display for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        })
    }
}

/// A running registry. Ends with its drop, before what it runs with.
pub(crate) struct RegistryProcess {
    server: Server,
    target: Target,
    markets: usize,
    _collector: OtlpCollector,
    _postgres: Option<Postgres>,
}

impl RegistryProcess {
    /// Starts a registry that holds the starter dataset and so many markets besides.
    pub(crate) async fn start(database: Database, markets: usize) -> anyhow::Result<Self> {
        Self::start_with(database, markets, Ok).await
    }

    /// The same with other options.
    pub(crate) async fn start_with(
        database: Database,
        markets: usize,
        configure: impl FnOnce(Options) -> anyhow::Result<Options>,
    ) -> anyhow::Result<Self> {
        let collector = OtlpCollector::start().await?;
        let mut options = Options::new()
            .with("SERVER_HOST", "127.0.0.1")
            .with("AUTH_API_KEYS", format!("{KEY}:bench"))
            .with("TRACING_ENABLED", true)
            .with("TRACING_ENDPOINT", collector.endpoint())
            .with_starter();
        let postgres = (database == Database::Postgres).then(Postgres::start);
        if let Some(postgres) = &postgres {
            options = options.with("DATABASE_URL", postgres.url());
            options.migrate_up();
        }
        let server = configure(options)?.start().await;
        let key = format!("Bearer {KEY}").parse()?;
        let target = Target { address: server.grpc().to_owned(), key: Some(key), pid: server.pid() };
        let registry = Self { server, target, markets, _collector: collector, _postgres: postgres };
        if markets > 0 {
            registry.import().await?;
        }
        Ok(registry)
    }

    /// Where it listens.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }

    /// Its folder, with the database if that is SQLite.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.server.options.folder()
    }

    /// One encoded request for each of its first markets of Binance: one of the starter dataset, then those besides.
    pub(crate) fn requests(&self) -> Vec<v1::ResolveMarketRequest> {
        let symbols = std::iter::once("BTCUSDT".to_owned()).chain((0..self.markets).map(symbol));
        let request = |venue_symbol| v1::ResolveMarketRequest {
            venue_id: "binance".to_owned(),
            venue_symbol,
            segment: Some("spot".to_owned()),
            ..v1::ResolveMarketRequest::default()
        };
        symbols.map(request).collect()
    }

    /// Its answers to them.
    pub(crate) async fn answers(
        &self,
        requests: &[v1::ResolveMarketRequest],
    ) -> anyhow::Result<Vec<v1::ResolveMarketResponse>> {
        let mut calls = EncodedClient::on(self.target.connect().await?, &self.target, BATCH_RESOLVE);
        let batch = fixtures::batch_of(requests);
        let answer = calls.call(batch.encode_to_vec().into()).await?;
        let results = v1::BatchResolveMarketsResponse::decode(answer)?.results;
        let resolved = results.into_iter().map(|result| match result.result {
            Some(Resolved::Resolved(answer)) => Ok(answer),
            other => bail!("a market does not resolve: {other:?}"),
        });
        resolved.collect()
    }

    /// The revision of its last write.
    pub(crate) async fn revision(&self) -> anyhow::Result<i64> {
        let status = self.registry().await?.get_status(self.target.request(GetStatusRequest {})).await?;
        Ok(status.into_inner().revision)
    }

    /// The sum of a counter's series whose labels contain the text.
    pub(crate) async fn counted(&self, counter: &str, label: &str) -> anyhow::Result<f64> {
        let (_, scraped) = self.server.http_get(self.server.metrics(), "/metrics").await;
        let series = scraped.lines().filter(|line| line.starts_with(counter) && line.contains(label));
        let values = series.filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok()).collect::<Vec<_>>();
        ensure!(!values.is_empty(), "the server has no metric {counter} with {label}");
        Ok(values.iter().sum())
    }

    async fn registry(&self) -> anyhow::Result<RegistryServiceClient<Channel>> {
        Ok(RegistryServiceClient::new(self.target.connect().await?).max_decoding_message_size(64 << 20))
    }

    /// Imports the markets as the venue itself would list them.
    async fn import(&self) -> anyhow::Result<()> {
        let options = ImportListingOptions {
            venue_id: "binance".to_owned(),
            create_missing_assets: true,
            ..ImportListingOptions::default()
        };
        let messages = fixtures::import(options, &listing(BASES, "USDT", self.markets)?);
        let request = self.target.request(messages);
        let steps = self.registry().await?.import_listing(request).await.context("the import")?.into_inner();
        let created = Imported::receive(steps).await?.created;
        ensure!(usize::try_from(created) == Ok(self.markets), "{created} markets were created");
        Ok(())
    }
}

fn symbol(n: usize) -> String {
    format!("{BASES}{n}USDT")
}

/// A spot listing with so many markets of a quote, whose bases begin with a prefix.
pub(crate) fn listing(bases: &str, quote: &str, markets: usize) -> serde_json::Result<Vec<u8>> {
    let market = |n| {
        let base = format!("{bases}{n}");
        json!({
            "symbol": format!("{base}{quote}"), "status": "TRADING", "baseAsset": base, "quoteAsset": quote,
            "isSpotTradingAllowed": true, "filters": [
                {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000.00", "tickSize": "0.01"},
                {"filterType": "LOT_SIZE", "minQty": "0.00001", "maxQty": "9000.0", "stepSize": "0.00001"},
                {"filterType": "MIN_NOTIONAL", "minNotional": "5.0"},
            ],
        })
    };
    serde_json::to_vec(&json!({"symbols": (0..markets).map(market).collect::<Vec<_>>()}))
}
