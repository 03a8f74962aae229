//! Small writes beside imports: who creates an asset waits for one import's transaction at most, and the relay for none.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::ensure;
use cqar_proto::v1::{
    CreateAssetRequest, ImportListingOptions, asset_service_client::AssetServiceClient,
    registry_service_client::RegistryServiceClient,
};
use cqar_tests::{
    fixtures::{self, Imported, asset},
    nats::Nats,
    postgres::Postgres,
    server::{Options, Server},
};
use hdrhistogram::Histogram;

use super::RunConfig;
use crate::{
    load::{in_ms, nanoseconds},
    registry_process::{Database, listing},
    report::{Report, Row, Threshold, Unit},
};

/// Rows of an import, how many imports there are at least, and the most that a small write may take: its 99th percentile beside
/// small imports, and the worst of all beside the largest.
const SIZES: [(usize, usize, f64, f64); 2] = [(2000, 10, 0.99, 500.0), (20_000, 3, 1.0, 3000.0)];

pub(super) async fn measure(config: &RunConfig, report: &mut Report) -> anyhow::Result<()> {
    for database in [Database::Sqlite, Database::Postgres] {
        let (postgres, nats) = ((database == Database::Postgres).then(Postgres::start), Nats::start());
        let mut options = Options::new().with("EVENTBUS_SERVERS", nats.address()).with_starter();
        if let Some(postgres) = &postgres {
            options = options.with("DATABASE_URL", postgres.url());
            options.migrate_up();
        }
        let server = options.start().await;
        for (rows, imports, quantile, target) in SIZES {
            let (latency, imported) = beside(&server, rows, imports, config.time).await?;
            let name = if quantile < 1.0 { "p99" } else { "worst" };
            let at = |q| in_ms(latency.value_at_quantile(q));
            report.row(
                Row::new(
                    format!("small writes beside imports of {rows} rows, {database}: {name}"),
                    Unit::Milliseconds,
                    vec![at(quantile)],
                )
                .target(Threshold::AtMost(target))
                .detail(format!(
                    "p50 {:.1} ms, p99 {:.1} ms, worst {:.0} ms of {} writes beside {imported} imports",
                    at(0.5),
                    at(0.99),
                    at(1.0),
                    latency.len()
                )),
            );
        }
        let lapsed = server.log().iter().filter(|line| line.contains("the lease to publish was lost")).count();
        ensure!(lapsed == 0, "the relay's lease lapsed {lapsed} times");
    }
    Ok(())
}

/// The latencies of small writes, and how many imports ran meanwhile.
async fn beside(
    server: &Server,
    rows: usize,
    imports: usize,
    time: Duration,
) -> anyhow::Result<(Histogram<u64>, usize)> {
    let mut registry = RegistryServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20);
    // As venues list: new markets of assets that are known.
    let bases = format!("B{rows}X");
    import(&mut registry, &listing(&bases, "USDT", rows)?).await?;
    let ends = Arc::new(AtomicBool::new(false));
    let importing = tokio::spawn({
        let ends = Arc::clone(&ends);
        async move {
            let began = Instant::now();
            let mut imported = 0;
            while imported < imports || began.elapsed() < time {
                let payload = listing(&bases, &format!("Q{imported}"), rows)?;
                import(&mut registry, &payload).await?;
                imported += 1;
            }
            ends.store(true, Ordering::Relaxed);
            anyhow::Ok(imported)
        }
    });
    let mut latency = Histogram::<u64>::new(3)?;
    let mut assets = AssetServiceClient::new(server.channel().await);
    for n in 0.. {
        if ends.load(Ordering::Relaxed) || importing.is_finished() {
            break;
        }
        let asset = Some(asset(&format!("S{rows}N{n}")));
        let began = Instant::now();
        assets.create_asset(CreateAssetRequest { asset, ..CreateAssetRequest::default() }).await?;
        latency.record(nanoseconds(began.elapsed()))?;
    }
    Ok((latency, importing.await??))
}

async fn import(registry: &mut RegistryServiceClient<tonic::transport::Channel>, payload: &[u8]) -> anyhow::Result<()> {
    let options = ImportListingOptions {
        venue_id: "binance".to_owned(),
        create_missing_assets: true,
        ..ImportListingOptions::default()
    };
    let steps = registry.import_listing(fixtures::import(options, payload)).await?.into_inner();
    Imported::receive(steps).await?;
    Ok(())
}
