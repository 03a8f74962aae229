//! Of when a listing speaks: an older one never overrules a newer, and what has ended stays so.

use cqar_proto::v1::{ImportListingOptions, Market, MarketStatus, ResolveMarketRequest};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, reason, says, time, wrong_fields},
};
use tonic::Code;

use crate::{
    listing::{
        binance_with, counts, creating, dated, into_binance, observed, raw, rejected, spot, whole, with, wrapped,
    },
    resolve::{query, resolve},
};
use cqar_tests::kinds::{Kind, Write};

cqar_tests::in_both_environments! {
    an_older_listing_is_refused_and_as_a_backfill_only_adds
    an_expired_contract_is_found_as_of_its_life
    what_was_absent_and_is_listed_again_goes_on_as_the_same_market
    a_contract_that_was_delisted_and_is_listed_again_lives_to_its_end
    a_listing_of_the_future_is_refused
}

const URL: &str = "https://api.binance.com/api/v3/exchangeInfo";

async fn an_older_listing_is_refused_and_as_a_backfill_only_adds(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT", "USD"]).await;
    let btc = spot("BTCUSDT", "BTC", "USDT");
    // 2024-01-02T00:00:00.25Z, as the wrapped form says it.
    let newer = wrapped(URL, 1_704_153_600.25, std::slice::from_ref(&btc));
    let report = clients.import(into_binance(), &newer).await.unwrap();
    assert_eq!(report.observed_time, Some(time("2024-01-02T00:00:00.25Z")));

    let older = [with(btc.clone(), "status", "BREAK"), spot("USDTBTC", "USDT", "BTC")];
    let earlier = observed("2024-01-01T00:00:00Z", into_binance());
    let refused = clients.import(earlier.clone(), &raw(&older)).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::FailedPrecondition, "STALE_LISTING"));
    let said = ["venue_id", "segment", "newest_time", "observed_time"].map(|key| says(&refused, key).unwrap());
    assert_eq!(said, ["binance", "spot", "2024-01-02T00:00:00.25Z", "2024-01-01T00:00:00Z"]);
    assert_eq!(clients.revision().await, 2);
    // Of another segment nothing newer was seen.
    let future = dated("BTCUSD_261225", "BTC", 1_616_745_600_000, 1_798_185_600_000);
    assert_eq!(counts(&clients.import(earlier.clone(), &raw(&[future])).await.unwrap()), [1, 0, 0, 0, 0]);

    let backfill = ImportListingOptions { backfill: true, ..earlier.clone() };
    let report = clients.import(backfill.clone(), &raw(&older)).await.unwrap();
    assert_eq!(counts(&report), [1, 0, 1, 0, 0]);
    let kept = resolve(&mut clients, "binance", "BTCUSDT", None).await.unwrap().market.unwrap();
    assert_eq!(kept.status(), MarketStatus::Active);
    // A backfill leaves the newest moment as it was, and the same moment may be imported again.
    assert_eq!(reason(&clients.import(earlier, &raw(&older)).await.unwrap_err()), "STALE_LISTING");
    assert_eq!(counts(&clients.import(into_binance(), &newer).await.unwrap()), [0, 0, 1, 0, 0]);

    let conflict = ImportListingOptions { delist_absent: true, ..backfill };
    let refused = clients.import(conflict, &raw(&older)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("options.delist_absent".into(), "CONFLICT".into())]);
    let refused = clients.import(observed("2999-01-01T00:00:00Z", into_binance()), &raw(&older)).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("options.observed_time".into(), "IN_THE_FUTURE".into())]);
    // A listing that changes nothing moves the moment all the same, and without a revision.
    let revision = clients.revision().await;
    let later = observed("2024-03-01T00:00:00Z", into_binance());
    assert_eq!(counts(&clients.import(later, &raw(&[btc])).await.unwrap()), [0, 0, 1, 0, 0]);
    let between = observed("2024-02-01T00:00:00Z", into_binance());
    assert_eq!(reason(&clients.import(between, &raw(&older)).await.unwrap_err()), "STALE_LISTING");
    assert_eq!(clients.revision().await, revision);
}

async fn an_expired_contract_is_found_as_of_its_life(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, []).await;
    // 2021-03-26T08:00:00Z to 2021-09-24T08:00:00Z
    let listed = [dated("BTCUSD_210924", "BTC", 1_616_745_600_000, 1_632_470_400_000)];
    let report = clients.import(observed("2021-07-01T00:00:00Z", creating()), &raw(&listed)).await.unwrap();
    assert_eq!((counts(&report), rejected(&report)), ([1, 0, 0, 0, 0], vec![]));
    let refused = resolve(&mut clients, "binance", "BTCUSD_210924", None).await.unwrap_err();
    assert_eq!((refused.code(), reason(&refused).as_str()), (Code::NotFound, "SYMBOL_NOT_LIVE"));
    assert_eq!(says(&refused, "live_from").as_deref(), Some("2021-03-26T08:00:00Z"));
    assert_eq!(says(&refused, "live_until").as_deref(), Some("2021-09-24T08:00:00Z"));

    let as_of = Some(time("2021-07-01T00:00:00Z"));
    let then = ResolveMarketRequest { as_of, ..query("binance", "BTCUSD_210924", Some("coinm")) };
    let resolved = clients.markets.resolve_market(then).await.unwrap().into_inner();
    let market = resolved.market.unwrap();
    assert_eq!(market.status(), MarketStatus::Active, "as it was said, whatever the times say");
    assert_eq!((market.contract_size.as_str(), market.expiry_time), ("100", Some(time("2021-09-24T08:00:00Z"))));
    assert_eq!(resolved.instrument.unwrap().code, "BTC/USD:BTC-210924");

    // A second run, and one of a later day, leave it as it ended; so does the operator's word that it was settled.
    for moment in ["2021-07-01T00:00:00Z", "2021-07-02T00:00:00Z"] {
        let report = clients.import(observed(moment, creating()), &raw(&listed)).await.unwrap();
        assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
    }
    let settled = Market { id: market.id, status: MarketStatus::Settled.into(), ..Market::default() };
    Market::update(&mut clients, settled, &["status"], Write::default()).await.unwrap();
    let report = clients.import(observed("2021-07-03T00:00:00Z", creating()), &raw(&listed)).await.unwrap();
    assert_eq!(counts(&report), [0, 0, 1, 0, 0]);
}

async fn what_was_absent_and_is_listed_again_goes_on_as_the_same_market(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, []).await;
    // Onboarded 2021-03-26T08:00:00Z, in every listing.
    let perpetual =
        with(dated("BTCUSD_PERP", "BTC", 1_616_745_600_000, 4_133_404_800_000), "contractType", "PERPETUAL");
    let listed = raw(std::slice::from_ref(&perpetual));
    let other =
        raw(&[with(dated("ETHUSD_PERP", "ETH", 1_616_745_600_000, 4_133_404_800_000), "contractType", "PERPETUAL")]);
    let import = async |clients: &mut Clients, at: &str, payload: &[u8]| {
        counts(&clients.import(whole(&["coinm"], observed(at, creating())), payload).await.unwrap())
    };
    assert_eq!(import(&mut clients, "2021-07-01T00:00:00Z", &listed).await, [1, 0, 0, 0, 0]);
    assert_eq!(import(&mut clients, "2021-08-01T00:00:00Z", &other).await, [1, 0, 0, 1, 0]);
    let first = {
        let as_of = Some(time("2021-07-01T00:00:00Z"));
        let then = ResolveMarketRequest { as_of, ..query("binance", "BTCUSD_PERP", None) };
        clients.markets.resolve_market(then).await.unwrap().into_inner().market.unwrap()
    };
    assert_eq!(first.delisted_time, Some(time("2021-08-01T00:00:00Z")));

    let both = [
        perpetual,
        with(dated("ETHUSD_PERP", "ETH", 1_616_745_600_000, 4_133_404_800_000), "contractType", "PERPETUAL"),
    ];
    assert_eq!(import(&mut clients, "2021-09-01T00:00:00Z", &raw(&both)).await, [0, 1, 1, 0, 0]);
    let again = resolve(&mut clients, "binance", "BTCUSD_PERP", None).await.unwrap().market.unwrap();
    assert_eq!((&again.id, again.delisted_time, again.listed_time), (&first.id, None, first.listed_time));
    for moment in ["2021-09-01T00:00:00Z", "2021-10-01T00:00:00Z"] {
        assert_eq!(import(&mut clients, moment, &raw(&both)).await, [0, 0, 2, 0, 0]);
    }
}

async fn a_contract_that_was_delisted_and_is_listed_again_lives_to_its_end(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, []).await;
    // 2024-01-01T08:00:00Z to 2099-12-25T08:00:00Z
    let contract = |base: &str| dated(&format!("{base}USD_991225"), base, 1_704_096_000_000, 4_101_868_800_000);
    let (both, one) = (raw(&[contract("BTC"), contract("ETH")]), raw(&[contract("ETH")]));
    let import = async |clients: &mut Clients, at: &str, payload: &[u8]| {
        counts(&clients.import(whole(&["coinm"], observed(at, creating())), payload).await.unwrap())
    };
    assert_eq!(import(&mut clients, "2024-06-01T00:00:00Z", &both).await, [2, 0, 0, 0, 0]);
    let first = resolve(&mut clients, "binance", "BTCUSD_991225", None).await.unwrap().market.unwrap();
    assert_eq!(import(&mut clients, "2024-07-01T00:00:00Z", &one).await, [0, 0, 1, 1, 0]);
    assert_eq!(import(&mut clients, "2024-08-01T00:00:00Z", &both).await, [0, 1, 1, 0, 0]);
    let again = resolve(&mut clients, "binance", "BTCUSD_991225", None).await.unwrap().market.unwrap();
    assert_eq!((again.id, again.expiry_time, again.delisted_time), (first.id, first.expiry_time, None));
    assert_eq!(import(&mut clients, "2024-09-01T00:00:00Z", &both).await, [0, 0, 2, 0, 0]);
}

async fn a_listing_of_the_future_is_refused(s: TestEnvironment) {
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, ["BTC", "USDT"]).await;
    let payload = wrapped(URL, 32_472_144_000.0, &[spot("BTCUSDT", "BTC", "USDT")]);
    let refused = clients.import(into_binance(), &payload).await.unwrap_err();
    assert_eq!(wrong_fields(&refused), [("payload.responses.received_at".into(), "IN_THE_FUTURE".into())]);
}
