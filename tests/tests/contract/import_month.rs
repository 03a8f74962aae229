//! A month of a venue's life: what perpetuals of Binance go through, a listing a day, and what the registry holds after each.
//!
//! The contracts are real ones of 2021, the script is made up, and a simple model says what comes of it. Which market an entry is about,
//! the registry has to find out, and the model knows from the script.

use std::{collections::BTreeMap, fs};

use cqar_domain::time::Timestamp;
use cqar_proto::v1::{
    ImportListingOptions, Instrument, Market, MarketStatus, ResolveMarketRequest,
    batch_resolve_markets_response::result::Result as Found,
};
use cqar_tests::{
    environment::TestEnvironment,
    fixtures::{Clients, batch_of, reason, status_of, time},
    kinds::Kind,
    server::shared_data,
};
use serde_json::Value;

use crate::{
    listing::{binance_with, counts, creating, observed, raw, with, wrapped},
    resolve::{id, query},
};

cqar_tests::in_both_environments! {
    a_month_of_a_venue_ends_as_a_simple_model_says
}

const URL: &str = "https://fapi.binance.com/fapi/v1/exchangeInfo";
/// 2026-10-01T00:00:00Z.
const FIRST_MS: i64 = 1_790_812_800_000;
/// The `deliveryDate` of a contract without an end: 2100-12-25.
const NEVER_MS: i64 = 4_133_404_800_000;
/// Contracts without `onboardDate`: nothing but their terms and their ends tells which market they are.
const DATELESS: [&str; 3] = ["VET", "ZRX", "RLC"];
/// Contracts to which nothing is scripted: chance changes them.
const STEADY: [&str; 6] = ["TRX", "XLM", "XMR", "DASH", "ZEC", "BNB"];
/// What the log of the month must have.
const OCCURRENCES: &str = r#"Launch( Postpone( Advance( AnnounceEnd( CallOff( CallOffPassed( LeaveOut( ListAgain( Relist( Rename(
    "BREAK" "TRADING" "PENDING_TRADING" "SETTLING" "CLOSE" "tickSize" "stepSize" "notional" Whole Outage Empty Garbage Part(
    Unaddressed Truncated Doubled( Late EndInferred EndTakenBack EndCorrected EndedAndListed EndedAndAbsent"#;

/// What the venue does before a day's listing, to the symbol of that name and `USDT`. Moments are in milliseconds since 1970.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A new symbol, with its `onboardDate`; it trades if that has passed.
    Launch(&'static str, i64),
    /// A later `onboardDate`, and the status that goes with it; or an earlier one.
    Postpone(&'static str, i64),
    Advance(&'static str, i64),
    Status(&'static str, &'static str),
    AnnounceEnd(&'static str, i64),
    /// No `deliveryDate` any more, and it trades: before that comes, or once it has passed.
    CallOff(&'static str),
    CallOffPassed(&'static str),
    LeaveOut(&'static str),
    ListAgain(&'static str),
    /// What had ended is another market now, with that base and `onboardDate`: 0 is none, and one before the end is not taken.
    Relist(&'static str, &'static str, i64),
    /// A symbol is given up for another, of another base.
    Rename(&'static str, &'static str, i64),
    Limit(&'static str, &'static str, &'static str),
}

/// What reaches us of a day.
#[derive(Debug, Clone, Copy)]
enum Feed {
    /// The whole response, with its address.
    Whole,
    Outage,
    /// A response that is no JSON, or that has no symbols.
    Garbage,
    Empty,
    /// The answer to a question for one symbol.
    Part(&'static str),
    /// Two of three contracts, without an address.
    Unaddressed,
    /// Two of three contracts, with the address of the whole.
    Truncated,
    /// The whole, with one symbol twice.
    Doubled(&'static str),
    /// The whole, and after it the listing before it once more.
    Late,
}

/// The moment of an hour of a day of the month.
const fn at(day: i64, hour: i64) -> i64 {
    FIRST_MS + ((day - 1) * 24 + hour) * 3_600_000
}

fn events(day: i64) -> Vec<Event> {
    #[allow(clippy::enum_glob_use, reason = "this is the table of them")]
    use Event::*;
    match day {
        1 => vec![Status("LTC", "BREAK"), AnnounceEnd("EOS", at(7, 9)), AnnounceEnd("XTZ", at(10, 9))],
        2 => vec![Launch("NEWA", at(6, 8)), Launch("NEWB", at(9, 8)), Launch("NEWD", at(4, 8))],
        3 => vec![Postpone("NEWA", at(10, 8)), Launch("NEWC", at(2, 12)), Status("NEWB", "BREAK")],
        // The launch of one passes before it is seen to have moved.
        4 => vec![Postpone("NEWD", at(8, 8)), Status("LTC", "TRADING"), CallOff("EOS"), Status("ETC", "SETTLING")],
        5 => vec![LeaveOut("BAT"), LeaveOut("VET"), AnnounceEnd("ONT", at(5, 9)), AnnounceEnd("IOTA", at(6, 9))],
        6 => vec![Status("ONT", "SETTLING"), Advance("NEWB", at(5, 8)), Limit("XRP", "tickSize", "0.0002")],
        7 => vec![LeaveOut("IOTA"), LeaveOut("ONT"), Limit("ADA", "stepSize", "10"), Limit("ADA", "notional", "0")],
        8 => vec![ListAgain("BAT"), ListAgain("VET"), Status("ETC", "TRADING"), Limit("ADA", "notional", "20")],
        9 => vec![Limit("BTC", "tickSize", "0.1"), Status("NEWD", "TRADING"), AnnounceEnd("WAVES", at(16, 9))],
        11 => vec![Status("NEWA", "TRADING"), Rename("SXP", "SOLAR", at(10, 12)), AnnounceEnd("KNC", at(13, 9))],
        12 => vec![CallOffPassed("XTZ"), LeaveOut("WAVES"), AnnounceEnd("ZRX", at(12, 9)), LeaveOut("ZIL")],
        14 => vec![Status("ZRX", "CLOSE"), Status("KNC", "CLOSE"), AnnounceEnd("OMG", at(15, 9))],
        15 => vec![Limit("LINK", "tickSize", "0.002"), ListAgain("WAVES"), Status("ATOM", "PENDING_TRADING")],
        16 => vec![LeaveOut("KNC"), LeaveOut("ZRX"), LeaveOut("OMG")],
        17 => vec![Relist("OMG", "OMG", at(14, 8)), LeaveOut("BAND"), AnnounceEnd("DOGE", at(26, 9))],
        18 => vec![Relist("KNC", "KNC", at(20, 8)), LeaveOut("COMP"), Status("WAVES", "CLOSE")],
        19 => vec![ListAgain("BAND"), AnnounceEnd("BAND", at(16, 9)), Status("BAND", "CLOSE"), Relist("ZRX", "ZRX", 0)],
        20 => vec![Launch("NEWE", at(24, 8)), Relist("COMP", "COMPX", at(19, 8)), Postpone("KNC", at(22, 8))],
        // One is absent before its launch, and so ends only once that has passed.
        22 => vec![Advance("KNC", at(21, 8)), LeaveOut("BAND"), LeaveOut("RLC"), LeaveOut("NEWE")],
        25 => vec![ListAgain("RLC"), Status("ATOM", "CLOSE"), AnnounceEnd("KNC", at(27, 9))],
        26 => vec![Limit("XTZ", "tickSize", "0.01"), Status("DOGE", "CLOSE"), Status("ATOM", "TRADING")],
        28 => vec![CallOffPassed("DOGE"), LeaveOut("KNC"), Status("LTC", "PENDING_TRADING")],
        29 => vec![Relist("KNC", "KNC", at(28, 8)), LeaveOut("SOLAR"), ListAgain("SXP")],
        _ => Vec::new(),
    }
}

fn feed(day: i64) -> Feed {
    match day {
        4 | 24 => Feed::Outage,
        7 => Feed::Garbage,
        9 => Feed::Part("BTC"),
        10 => Feed::Unaddressed,
        13 => Feed::Truncated,
        14 | 21 => Feed::Empty,
        15 => Feed::Doubled("LINK"),
        16 | 28 => Feed::Late,
        _ => Feed::Whole,
    }
}

async fn a_month_of_a_venue_ends_as_a_simple_model_says(s: TestEnvironment) {
    let Some(data) = shared_data() else {
        assert!(std::env::var_os("CI").is_none(), "the real listings are absent");
        return;
    };
    let mut world = World::of(&fs::read(data.join("venue-listings/binance_futures.json")).unwrap());
    let server = s.options().start().await;
    let mut clients = Clients::of(&server).await;
    binance_with(&mut clients, []).await;
    let (mut model, mut random, mut previous) = (Model::default(), Random(20_261_001), None);
    for day in 1..=30 {
        let (now, feed) = (at(day, 0), feed(day));
        model.log.push(format!("{feed:?}"));
        for event in events(day).into_iter().chain(random.events()) {
            model.log.push(format!("{event:?}"));
            world.apply(event, now);
        }
        match feed {
            Feed::Outage => {}
            Feed::Garbage => is_refused(&mut clients, &creating(), b"<html>", "INVALID_FIELDS").await,
            _ => {
                let (contracts, options, payload) = reply(feed, &world, now);
                let expected = model.take(feed, &contracts, now);
                let report = clients.import(options.clone(), &payload).await.unwrap();
                compare(&mut clients, &mut model, day).await;
                assert_eq!(counts(&report), expected, "day {day}: {:#?}", report.markets);
                let again = clients.import(options.clone(), &payload).await.unwrap();
                let [created, updated, unchanged, _, rejected] = expected;
                let expected = [0, 0, created + updated + unchanged, 0, rejected];
                assert_eq!(counts(&again), expected, "day {day}, again: {:#?}", again.markets);
                if let (Some((options, payload)), Feed::Late) = (previous.replace((options, payload)), feed) {
                    is_refused(&mut clients, &options, &payload, "STALE_LISTING").await;
                }
            }
        }
        compare(&mut clients, &mut model, day).await;
    }
    // What was said later holds of the days before, too.
    for day in 1..=30 {
        let differences = resolution(&mut clients, &model, Some(&text(at(day, 0)))).await;
        assert!(differences.is_empty(), "in the end:\n{}", differences.join("\n"));
    }
    for occurrence in OCCURRENCES.split_whitespace() {
        assert!(model.log.iter().any(|it| it.contains(occurrence)), "no {occurrence} in {:?}", model.log);
    }
}

async fn is_refused(clients: &mut Clients, options: &ImportListingOptions, payload: &[u8], why: &str) {
    for _ in 0..2 {
        assert_eq!(reason(&clients.import(options.clone(), payload).await.unwrap_err()), why);
    }
}

/// The contracts of the venue, by name.
struct World(BTreeMap<String, Contract>);

#[derive(Clone)]
struct Contract {
    entry: Value,
    /// How many markets had the symbol before.
    life: usize,
    is_listed: bool,
}

impl World {
    /// 80 real contracts: so many that the few of a day are far from a fifth of them.
    fn of(file: &[u8]) -> Self {
        let file: Value = serde_json::from_slice(file).unwrap();
        let entries = file["responses"][0]["body"]["symbols"].as_array().unwrap();
        let is_usual = |entry: &&Value| entry["contractType"] == "PERPETUAL" && entry["quoteAsset"] == "USDT";
        let contract = |entry: &Value| Contract { entry: entry.clone(), life: 0, is_listed: true };
        let named = |entry: &Value| (entry["baseAsset"].as_str().unwrap().to_owned(), contract(entry));
        let mut world = Self(entries.iter().filter(is_usual).take(80).map(named).collect());
        for name in DATELESS {
            world.set(name, "onboardDate", 0);
        }
        world
    }

    fn apply(&mut self, event: Event, now: i64) {
        match event {
            Event::Launch(name, onboard) => self.list(name, name, onboard, now),
            Event::Relist(name, base, onboard) => self.list(name, base, onboard, now),
            Event::Rename(from, to, onboard) => {
                self.contract(from).is_listed = false;
                self.list(to, to, onboard, now);
            }
            Event::Postpone(name, onboard) | Event::Advance(name, onboard) => self.onboard(name, onboard, now),
            Event::Status(name, status) => self.set(name, "status", status),
            Event::AnnounceEnd(name, end) => self.set(name, "deliveryDate", end),
            Event::CallOff(name) | Event::CallOffPassed(name) => {
                self.set(name, "deliveryDate", NEVER_MS);
                self.set(name, "status", "TRADING");
            }
            Event::LeaveOut(name) => self.contract(name).is_listed = false,
            Event::ListAgain(name) => self.contract(name).is_listed = true,
            Event::Limit(name, field, amount) => {
                let filters = self.contract(name).entry["filters"].as_array_mut().unwrap();
                filters.iter_mut().find(|filter| filter.get(field).is_some()).unwrap()[field] = amount.into();
            }
        }
    }

    /// The next market of a symbol, in all else like that of BTC.
    fn list(&mut self, name: &str, base: &str, onboard: i64, now: i64) {
        let template = self.contract("BTC").entry.clone();
        let entry = with(with(template, "symbol", format!("{name}USDT")), "baseAsset", base);
        let life = self.0.get(name).map_or(0, |before| before.life + 1);
        self.0.insert(name.to_owned(), Contract { entry, life, is_listed: true });
        self.onboard(name, onboard, now);
    }

    fn onboard(&mut self, name: &str, onboard: i64, now: i64) {
        self.set(name, "onboardDate", onboard);
        self.set(name, "status", if onboard > now { "PENDING_TRADING" } else { "TRADING" });
    }

    fn set(&mut self, name: &str, field: &str, value: impl Into<Value>) {
        self.contract(name).entry[field] = value.into();
    }

    fn contract(&mut self, name: &str) -> &mut Contract {
        self.0.get_mut(name).unwrap()
    }
}

/// The contracts whose entries are taken, and the listing as it is imported.
fn reply(feed: Feed, world: &World, now: i64) -> (BTreeMap<String, Contract>, ImportListingOptions, Vec<u8>) {
    let (mut contracts, mut n) = (world.0.clone(), 0);
    contracts.retain(|_, it| it.is_listed);
    contracts.retain(|name, _| {
        n += 1;
        match feed {
            Feed::Empty => false,
            Feed::Part(only) => name == only,
            Feed::Unaddressed | Feed::Truncated => n % 3 != 0,
            _ => true,
        }
    });
    let mut entries: Vec<Value> = contracts.values().map(|it| it.entry.clone()).collect();
    if let Feed::Doubled(name) = feed {
        entries.push(with(contracts.remove(name).unwrap().entry, "status", "BREAK"));
    }
    let wrapped = |url: &str| wrapped(url, f64::from(i32::try_from(now / 1000).unwrap()), &entries);
    let payload = match feed {
        Feed::Unaddressed => raw(&entries),
        Feed::Part(name) => wrapped(&format!("{URL}?symbol={name}USDT")),
        _ => wrapped(URL),
    };
    let options = ImportListingOptions { delist_absent: true, ..observed(&text(now), creating()) };
    (contracts, options, payload)
}

/// What the registry should hold: the markets of each symbol, in the order of their lives; and what occurred.
#[derive(Default)]
struct Model {
    lives: BTreeMap<String, Vec<Life>>,
    log: Vec<String>,
}

/// A market. Its times are in RFC 3339, of one width, so that they are ordered as texts are.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Life {
    /// The first that the registry gave it; empty before.
    id: String,
    listed: Option<String>,
    delisted: Option<String>,
    is_inferred: bool,
    status: MarketStatus,
    /// Tick, lot, smallest notional, and the base.
    details: [String; 4],
}

impl Model {
    /// Takes what a listing says; how many are created, updated, unchanged, delisted and rejected by it.
    fn take(&mut self, feed: Feed, contracts: &BTreeMap<String, Contract>, now: i64) -> [i32; 5] {
        let (now, [mut created, mut updated, mut unchanged, mut delisted]) = (text(now), [0; 4]);
        for (name, contract) in contracts {
            let lives = self.lives.entry(name.clone()).or_default();
            let end_before = lives.iter().take(contract.life).filter_map(|life| life.delisted.clone()).max();
            let said = Life::said(&contract.entry);
            // A beginning before the end of an earlier market is not taken.
            let listed = said.listed.clone().filter(|listed| end_before.as_ref().is_none_or(|end| end <= listed));
            let Some(life) = lives.get_mut(contract.life) else {
                lives.push(Life { listed: listed.or(end_before.map(|_| now.clone())), ..said });
                created += 1;
                continue;
            };
            let after = Life { id: life.id.clone(), listed: listed.or_else(|| life.listed.clone()), ..said };
            match (life.is_inferred, &after.delisted) {
                (true, None) => self.log.push("EndTakenBack".into()),
                (true, Some(_)) => self.log.push("EndCorrected".into()),
                (false, Some(end)) if *end <= now => self.log.push("EndedAndListed".into()),
                _ => {}
            }
            let changed = if *life == after { &mut unchanged } else { &mut updated };
            *changed += 1;
            *life = after;
        }
        let mut rejected = i32::from(matches!(feed, Feed::Empty)) + 2 * i32::from(matches!(feed, Feed::Doubled(_)));
        let is_part = matches!(feed, Feed::Part(_) | Feed::Unaddressed | Feed::Empty);
        let is_named = |name: &str| contracts.contains_key(name) || matches!(feed, Feed::Doubled(it) if it == name);
        let absent = self.lives.iter_mut().filter(|(name, _)| !is_part && !is_named(name)).flat_map(|(_, lives)| lives);
        for life in absent {
            match feed {
                Feed::Truncated => rejected += i32::from(life.is_live(&now)),
                _ if life.is_live(&now) => {
                    (life.delisted, life.is_inferred, life.status) = (Some(now.clone()), true, MarketStatus::Delisted);
                    delisted += 1;
                    self.log.push("EndInferred".into());
                }
                _ if !life.is_inferred && life.delisted.is_some() => self.log.push("EndedAndAbsent".into()),
                _ => {}
            }
        }
        [created, updated, unchanged, delisted, rejected]
    }
}

impl Life {
    /// As an entry of the venue says it.
    fn said(entry: &Value) -> Self {
        let time = |field: &str| entry[field].as_i64().filter(|ms| ![0, NEVER_MS].contains(ms)).map(text);
        // A decimal without superfluous zeros; a limit of 0 is none.
        let limit = |field: &str| {
            let mut filters = entry["filters"].as_array().unwrap().iter();
            let amount = filters.find_map(|filter| filter[field].as_str()).unwrap();
            let plain = if amount.contains('.') { amount.trim_end_matches('0').trim_end_matches('.') } else { amount };
            if plain == "0" { String::new() } else { plain.to_owned() }
        };
        let delisted = time("deliveryDate");
        let status = match entry["status"].as_str().unwrap() {
            "PENDING_TRADING" => MarketStatus::PreLaunch,
            "TRADING" => MarketStatus::Active,
            "BREAK" => MarketStatus::Halted,
            _ if delisted.is_some() => MarketStatus::Delisted,
            _ => MarketStatus::Delisting,
        };
        let base = entry["baseAsset"].as_str().unwrap().to_owned();
        let details = [limit("tickSize"), limit("stepSize"), limit("notional"), base];
        Self { id: String::new(), listed: time("onboardDate"), delisted, is_inferred: false, status, details }
    }

    /// As the registry has it.
    fn stored(market: &Market, instrument: &Instrument) -> Self {
        let text = |time: cqar_proto::well_known::Timestamp| Timestamp::try_from(time).unwrap().to_string();
        let (listed, delisted) = (market.listed_time.map(text), market.delisted_time.map(text));
        let (is_inferred, status) = (market.delisted_inferred, market.status());
        let base = instrument.code.trim_end_matches("/USDT:USDT");
        let details = [market.tick_size.as_str(), &market.lot_size, &market.min_notional, base].map(str::to_owned);
        Self { id: market.id.clone(), listed, delisted, is_inferred, status, details }
    }

    fn is_live(&self, at: &str) -> bool {
        self.listed.as_deref().is_none_or(|listed| listed <= at) && self.delisted.as_deref().is_none_or(|end| at < end)
    }
}

fn text(ms: i64) -> String {
    Timestamp::from_micros(ms * 1000).unwrap().to_string()
}

/// Compares all markets, and what every symbol means that day and now, with the model.
async fn compare(clients: &mut Clients, model: &mut Model, day: i64) {
    let stored = stored_lives(clients).await;
    let unknown = stored.keys().filter(|name| !model.lives.contains_key(*name));
    let mut differences: Vec<String> = unknown.map(|name| format!("{name}USDT: nobody listed it")).collect();
    for (name, lives) in &mut model.lives {
        let found = stored.get(name).map_or(&[][..], Vec::as_slice);
        for (life, is) in lives.iter_mut().zip(found).filter(|(life, _)| life.id.is_empty()) {
            life.id.clone_from(&is.id);
        }
        if found != lives.as_slice() {
            differences.push(format!("{name}USDT: has\n{found:#?}\nand in the model\n{lives:#?}"));
        }
    }
    for as_of in [Some(text(at(day, 0))), None] {
        differences.extend(resolution(clients, model, as_of.as_deref()).await);
    }
    assert!(differences.is_empty(), "day {day}:\n{}", differences.join("\n"));
}

/// All markets there are, by name and in the order of their beginnings.
async fn stored_lives(clients: &mut Clients) -> BTreeMap<String, Vec<Life>> {
    let (mut markets, mut token) = Market::list(clients, 50, "").await.unwrap();
    while !token.is_empty() {
        let (page, next) = Market::list(clients, 50, &token).await.unwrap();
        markets.extend(page);
        token = next;
    }
    let instruments = markets.iter().map(|market| market.instrument_id.clone()).collect();
    let instruments = Instrument::batch_get(clients, instruments).await.unwrap();
    let mut lives: BTreeMap<String, Vec<Life>> = BTreeMap::new();
    for (market, instrument) in markets.iter().zip(instruments) {
        let name = market.venue_symbol.trim_end_matches("USDT").to_owned();
        lives.entry(name).or_default().push(Life::stored(market, &instrument.unwrap()));
    }
    for of_symbol in lives.values_mut() {
        of_symbol.sort_by_key(|life| life.listed.clone());
    }
    lives
}

/// Which symbols mean another market then (or now, after all that is scripted) than in the model.
async fn resolution(clients: &mut Clients, model: &Model, as_of: Option<&str>) -> Vec<String> {
    let queries = model.lives.keys().map(|name| query("binance", &format!("{name}USDT"), Some("usdm")));
    let requests: Vec<_> = queries.map(|query| ResolveMarketRequest { as_of: as_of.map(time), ..query }).collect();
    let results = clients.markets.batch_resolve_markets(batch_of(&requests)).await.unwrap().into_inner().results;
    assert_eq!(results.len(), model.lives.len());
    let mut differences = Vec::new();
    for ((name, lives), result) in model.lives.iter().zip(results) {
        let is = match result.result.unwrap() {
            Found::Resolved(resolved) => vec![id(&resolved).to_owned()],
            Found::Error(error) if reason(&status_of(&error)) == "SYMBOL_NOT_LIVE" => Vec::new(),
            Found::Error(error) => vec![error.message],
        };
        let live = lives.iter().filter(|life| life.is_live(as_of.unwrap_or("9999")));
        let should: Vec<&str> = live.map(|life| life.id.as_str()).collect();
        if is != should {
            differences.push(format!("{name}USDT as of {as_of:?}: is {is:?}, and {should:?} in the model"));
        }
    }
    differences
}

/// `SplitMix64`: the same month in every run.
struct Random(u64);

impl Random {
    /// What changes by chance on one day.
    fn events(&mut self) -> Vec<Event> {
        vec![
            Event::Limit(self.one_of(&STEADY), "tickSize", self.one_of(&["0.01", "0.010", "0.002", "0.5"])),
            Event::Limit(self.one_of(&STEADY), "notional", self.one_of(&["5", "5.0", "12.5", "0"])),
            Event::Status(self.one_of(&STEADY), self.one_of(&["TRADING", "BREAK", "PENDING_TRADING", "CLOSE"])),
        ]
    }

    fn one_of(&mut self, all: &[&'static str]) -> &'static str {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        all[usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(all.len()).unwrap()).unwrap()]
    }
}
