//! What a symbol means as time goes on, and as others write: the next read after an acknowledged write is new.

use cqar_domain::time::{Clock, SystemClock};
use cqar_proto::v1::{Asset, FutureTerms, Instrument, Market, MarketStatus, ResolveMarketRequest, instrument::Terms};
use cqar_tests::{
    collect,
    environment::TestEnvironment,
    fixtures::{Clients, SampleRegistry, asset, create, market, mutation, named, reason, says, time},
};
use tonic::Status;

use crate::resolve::{id, query, resolve};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    every_acknowledged_write_shows_in_the_next_read
    the_moment_chooses_among_markets_that_had_the_symbol
    a_contract_ends_at_its_instant_though_nobody_writes
}

async fn every_acknowledged_write_shows_in_the_next_read(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let unknown = async |clients: &mut Clients, symbol: &str| {
        let refused = resolve(clients, "kraken", symbol, None).await.unwrap_err();
        assert_eq!(reason(&refused), "SYMBOL_UNKNOWN", "{symbol}");
    };
    for n in 0..20 {
        // The asset is part of an answer that is kept, and of the instrument's code.
        let symbol = format!("BTC{n}");
        let renamed = Asset { id: small.btc.clone(), symbol: symbol.clone(), ..Asset::default() };
        Asset::update(&mut clients, renamed, &["symbol"], Write::default()).await.unwrap();
        let resolved = resolve(&mut clients, "kraken", "XBTUSDT", None).await.unwrap();
        assert_eq!(resolved.base_asset.unwrap().symbol, symbol);
        assert_eq!(resolved.instrument.unwrap().code, format!("{symbol}/USDT"));

        // A miss is kept too; a new alias ends it, and its end is the old one's.
        let (alias, old) = (format!("alias-{n}"), format!("alias-{}", n - 1));
        unknown(&mut clients, &alias).await;
        let aliased = Market { id: small.kraken.clone(), aliases: vec![alias.clone()], ..Market::default() };
        Market::update(&mut clients, aliased, &["aliases"], Write::default()).await.unwrap();
        assert_eq!(id(&resolve(&mut clients, "kraken", &alias, None).await.unwrap()), small.kraken);
        unknown(&mut clients, &old).await;

        // So does a new market, until it is deleted.
        let listed = format!("NEW{n}");
        unknown(&mut clients, &listed).await;
        let created = market("kraken", "", &listed, &small.spot);
        let created = Market::create(&mut clients, created, Write::default()).await.unwrap().value;
        assert_eq!(id(&resolve(&mut clients, "kraken", &listed, None).await.unwrap()), created.id);
        Market::delete(&mut clients, &created.id, "", Write::default()).await.unwrap();
        unknown(&mut clients, &listed).await;
    }
}

async fn the_moment_chooses_among_markets_that_had_the_symbol(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    let small = SampleRegistry::write(&mut clients).await;
    let between = |from: &str, until: &str, instrument: &str| Market {
        listed_time: Some(time(from)),
        delisted_time: Some(time(until)),
        status: MarketStatus::Delisted.into(),
        ..market("kraken", "", "LUNAUSDT", instrument)
    };
    let create = |market| mutation(create(market));
    let first = between("2019-08-21T00:00:00Z", "2022-05-13T00:40:00Z", &small.spot);
    let second = between("2022-05-31T06:00:00Z", "2023-01-01T00:00:00Z", &small.perpetual);
    let applied = clients.apply(vec![create(first), create(second)]).await.unwrap();
    let [first, second] = cqar_tests::fixtures::ids(&applied).try_into().unwrap();

    let mut at = async |as_of: Option<&str>| -> Result<String, Status> {
        let request = ResolveMarketRequest { as_of: as_of.map(time), ..query("kraken", "LUNAUSDT", None) };
        Ok(id(clients.markets.resolve_market(request).await?.get_ref()).to_owned())
    };
    // Half-open: the first instant is in, the last one out.
    assert_eq!(at(Some("2019-08-21T00:00:00Z")).await.unwrap(), first);
    assert_eq!(at(Some("2022-05-13T00:39:59.999999Z")).await.unwrap(), first);
    assert_eq!(at(Some("2022-05-31T06:00:00Z")).await.unwrap(), second);
    for between in [Some("2022-05-13T00:40:00Z"), Some("2019-01-01T00:00:00Z"), None] {
        let refused = at(between).await.unwrap_err();
        assert_eq!(reason(&refused), "SYMBOL_NOT_LIVE", "{between:?}");
        let says = |key: &str| says(&refused, key).unwrap();
        let mut said = [
            [says("market_id"), says("live_from"), says("live_until")],
            [says("market_id_2"), says("live_from_2"), says("live_until_2")],
        ];
        said.sort_by(|a, b| a[1].cmp(&b[1]));
        assert_eq!(said[0], [first.as_str(), "2019-08-21T00:00:00Z", "2022-05-13T00:40:00Z"]);
        assert_eq!(said[1], [second.as_str(), "2022-05-31T06:00:00Z", "2023-01-01T00:00:00Z"]);
    }
}

async fn a_contract_ends_at_its_instant_though_nobody_writes(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    // A few seconds ahead, and later than the call that asks whether it is live.
    let expiry = SystemClock.now().plus_seconds(5);
    let terms = Terms::Future(FutureTerms {
        base_asset_id: "$btc".into(),
        quote_asset_id: "$usd".into(),
        settle_asset_id: "$usd".into(),
        expiry_date: expiry.date().to_string(),
    });
    let dated = Market { expiry_time: Some(expiry.into()), ..market("kraken", "", "FF_XBTUSD", "$future") };
    clients
        .apply(vec![
            named("btc", create(asset("BTC"))),
            named("usd", create(asset("USD"))),
            mutation(create(cqar_tests::fixtures::venue("kraken"))),
            named("future", create(Instrument { terms: Some(terms), ..Instrument::default() })),
            mutation(create(dated)),
        ])
        .await
        .unwrap();
    let live = resolve(&mut clients, "kraken", "FF_XBTUSD", None).await;
    assert!(live.is_ok() || SystemClock.now() >= expiry, "{live:?}");
    let ended = collect::until("the contract ends", || {
        let mut clients = clients.clone();
        async move {
            let asked = SystemClock.now();
            match resolve(&mut clients, "kraken", "FF_XBTUSD", None).await {
                Ok(_) => {
                    assert!(asked < expiry, "live after its end");
                    None
                }
                Err(refused) => Some(refused),
            }
        }
    })
    .await;
    assert!(SystemClock.now() >= expiry, "not before");
    assert_eq!(reason(&ended), "SYMBOL_NOT_LIVE");
    assert_eq!(says(&ended, "live_until"), Some(expiry.to_string()));
    assert_eq!(clients.revision().await, 1);
    let as_of = Some(expiry.plus_seconds(-1).into());
    let request = ResolveMarketRequest { as_of, ..query("kraken", "FF_XBTUSD", None) };
    assert!(clients.markets.resolve_market(request).await.is_ok(), "it still resolves as of when it was live");
}
