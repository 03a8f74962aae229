//! What reads depend on: whatever alters an answer touches it.

use std::{collections::BTreeMap, sync::Arc};

use cqar_domain::{
    entities::{
        Entity, EntityVariant,
        asset::Asset,
        instrument::Instrument,
        market::Market,
        relationship::{Rate, Relationship, RelationshipType},
        venue::Venue,
        venue_asset::VenueAsset,
    },
    id::{AssetId, EntityKey, EntityType},
    unique_key::UniqueKey,
};
use cqar_store::{End, Snapshot, Store};
use cqar_tests::{
    entities::{asset, change, create, deposit, instrument, market, relationship, venue, venue_asset, write},
    kinds::examples,
    postgres::Postgres,
};

use crate::{execute_on_postgres, execute_on_sqlite, now, two};

/// What is asked about.
struct Asked {
    entities: Vec<Entity>,
    keys: Vec<EntityKey>,
    unique: Vec<UniqueKey>,
}

impl Asked {
    fn all<T: Clone + 'static>(&self, of: impl Fn(&Entity) -> Option<&T>) -> Vec<T> {
        self.entities.iter().filter_map(|entity| of(entity).cloned()).collect()
    }

    /// The answer to one of the reads, as a text; none after the last.
    async fn read(&self, n: usize, snapshot: &mut Snapshot) -> Option<(&'static str, String)> {
        let asset = &self.all(Asset::of)[0];
        let instrument = &self.all(Instrument::of)[0];
        let market = &self.all(Market::of)[0];
        let (venue, symbols) = (&market.venue_id, market.symbols().map(str::to_owned).collect::<Vec<_>>());
        Some(match n {
            0 => ("entities", format!("{:?}", snapshot.entities(&self.keys).await.unwrap())),
            1 => {
                let found = snapshot.with_unique_keys(&self.unique).await.unwrap();
                ("unique keys", format!("{:?}", found.into_iter().collect::<BTreeMap<_, _>>()))
            }
            2 => {
                let symbol = std::slice::from_ref(&asset.symbol);
                ("symbols of assets", format!("{:?}", snapshot.assets_with_symbols(symbol).await.unwrap()))
            }
            3 => {
                let code = std::slice::from_ref(&instrument.code);
                ("codes", format!("{:?}", snapshot.instruments_with_codes(code).await.unwrap()))
            }
            4 => ("terms", format!("{:?}", snapshot.instruments_of_asset(asset.id, 100).await.unwrap())),
            5 => ("bindings", format!("{:?}", snapshot.venue_assets_of(venue, &[asset.id]).await.unwrap())),
            6 => {
                let found = snapshot.markets_of_instruments(&[instrument.id], 100).await.unwrap();
                ("listings", format!("{found:?}"))
            }
            7 => {
                let found = snapshot.live_markets((venue, &market.segment), now(), None, 100).await.unwrap();
                ("segments", format!("{found:?}"))
            }
            8 => ("symbols", format!("{:?}", snapshot.markets_with_symbols(venue, &symbols).await.unwrap())),
            9 => {
                let (markets, related) = snapshot.markets_with_related(venue, &symbols).await.unwrap();
                let related: BTreeMap<EntityKey, Entity> = related.into_iter().collect();
                ("symbols with what they show", format!("{markets:?} {related:?}"))
            }
            10 => ("referrers", format!("{:?}", snapshot.referrers(&self.keys, 100).await.unwrap())),
            11 | 12 => {
                let end = if n == 11 { End::From } else { End::To };
                let assets: Vec<AssetId> = self.all(Asset::of).iter().map(|it| it.id).collect();
                let mut found = snapshot.relationships(end, &assets, None, 100).await.unwrap();
                found.sort_by_key(|it| it.id);
                (if n == 11 { "underlyings" } else { "derivatives" }, format!("{found:?}"))
            }
            13 => {
                let codes: Vec<String> = self.all(VenueAsset::of).into_iter().map(|it| it.code).collect();
                let mut found = snapshot.venue_assets_with_codes(venue, &codes).await.unwrap();
                found.sort_by_key(|it| it.id);
                ("codes of venues", format!("{found:?}"))
            }
            _ => return None,
        })
    }

    /// Changes of every type: of what is asked about, and of what is created beside it.
    fn changes(&self) -> Vec<(Option<Entity>, Option<Entity>)> {
        let (assets, instruments) = (self.all(Asset::of), self.all(Instrument::of));
        let (markets, bindings) = (self.all(Market::of), self.all(VenueAsset::of));
        let market_of_it = &markets[0];
        let created: Vec<Entity> = vec![
            Asset { symbol: assets[0].symbol.clone(), ..asset("TWIN") }.into(),
            Instrument { code: instruments[0].code.clone(), ..instrument(deposit(assets[0].id)) }.into(),
            Market { aliases: vec![market_of_it.venue_symbol.clone()], ..market("dex", "OTHER", instruments[0].id) }
                .into(),
            Market { segment: market_of_it.segment.clone(), ..market("dex", "BESIDE", instruments[0].id) }.into(),
            venue_asset("dex", "OTHER", assets[0].id).into(),
            VenueAsset { segment: "swap".parse().unwrap(), ..venue_asset("dex", &bindings[0].code, assets[0].id) }
                .into(),
            relationship(assets[0].id, assets[1].id, RelationshipType::SyntheticOf).into(),
            venue("another").into(),
        ];
        let (venues, relationships) = (self.all(Venue::of), self.all(Relationship::of));
        let altered: Vec<(Entity, Entity)> = vec![
            (assets[0].clone().into(), Asset { symbol: "NEW".into(), ..assets[0].clone() }.into()),
            (assets[0].clone().into(), Asset { name: "Renamed".into(), ..assets[0].clone() }.into()),
            (instruments[0].clone().into(), Instrument { code: "NEW".into(), ..instruments[0].clone() }.into()),
            (market_of_it.clone().into(), Market { venue_symbol: "NEW".into(), ..market_of_it.clone() }.into()),
            (
                market_of_it.clone().into(),
                Market { segment: "elsewhere".parse().unwrap(), ..market_of_it.clone() }.into(),
            ),
            (bindings[0].clone().into(), VenueAsset { code: "NEW".into(), ..bindings[0].clone() }.into()),
            (relationships[0].clone().into(), Relationship { rate: Rate::Oracle, ..relationships[0].clone() }.into()),
            (venues[0].clone().into(), Venue { name: "Renamed".into(), ..venues[0].clone() }.into()),
        ];
        let altered = altered.into_iter().map(|(before, after)| (Some(before), Some(after)));
        let deleted = [market_of_it.clone().into(), bindings[0].clone().into(), relationships[0].clone().into()]
            .map(|it: Entity| (Some(it), None));
        created.into_iter().map(|it| (None, Some(it))).chain(altered).chain(deleted).collect()
    }
}

/// Whether another server made a change, or this one: it knows its own without reading them.
pub async fn what_alters_an_answer_touches_what_it_depends_on([store, other]: [Arc<Store>; 2]) {
    let mut entities = examples();
    // The market is to be deleted, which nothing may refer to.
    entities.retain(|it| !it.references().iter().any(|(_, target)| target.entity_type() == EntityType::Market));
    create(&store, &entities).await;
    let keys: Vec<EntityKey> = entities.iter().map(Entity::key).collect();
    let unique = entities.iter().flat_map(Entity::unique_keys).map(|(_, key)| key).collect();
    let asked = Asked { entities, keys, unique };
    for writer in [&store, &other] {
        let (mut altered, mut spared) = (BTreeMap::new(), BTreeMap::new());
        for (before, after) in asked.changes() {
            for n in 0.. {
                let mut snapshot = store.snapshot().await.unwrap();
                snapshot.keep_footprint();
                let Some((name, answer)) = asked.read(n, &mut snapshot).await else { break };
                let footprint = snapshot.take_footprint();
                assert!(!snapshot.has_changed(&footprint).await.unwrap(), "nothing was committed");
                // The change, and back.
                write(writer, vec![change(before.clone(), after.clone())]).await;
                let mut snapshot = store.snapshot().await.unwrap();
                let changed = snapshot.has_changed(&footprint).await.unwrap();
                let (_, answer_after) = asked.read(n, &mut snapshot).await.unwrap();
                let is_altered = answer_after != answer;
                assert!(changed || !is_altered, "{name}: {before:?} to {after:?} altered {answer} to {answer_after}");
                *altered.entry(name).or_insert(0) += usize::from(is_altered);
                *spared.entry(name).or_insert(0) += usize::from(!changed);
                drop(snapshot);
                write(writer, vec![change(after.clone(), before.clone())]).await;
            }
        }
        assert!(
            altered.len() == 14 && altered.values().all(|count| *count > 0),
            "each is altered by something: {altered:?}"
        );
        assert!(spared.values().all(|count| *count > 0), "and left alone by something: {spared:?}");
    }
}

pub async fn more_than_is_looked_through_may_have_changed_anything([store, other]: [Arc<Store>; 2]) {
    let mut snapshot = store.snapshot().await.unwrap();
    let unknown = snapshot.take_footprint();
    snapshot.keep_footprint();
    let footprint = snapshot.take_footprint();
    drop(snapshot);
    let many = |symbol: &str| (0..6000).map(|n| asset(&format!("{symbol}{n}")).into()).collect::<Vec<_>>();
    let has_changed = async || store.snapshot().await.unwrap().has_changed(&footprint).await.unwrap();
    create(&store, &[asset("ONE").into()]).await;
    assert!(store.snapshot().await.unwrap().has_changed(&unknown).await.unwrap(), "nobody noted what it read");
    for n in 0..20 {
        create(&other, &[asset(&format!("N{n}")).into()]).await;
    }
    create(&store, &many("OWN")).await;
    assert!(!has_changed().await, "its own are known, however many they are");
    create(&other, &many("OTHER")).await;
    assert!(has_changed().await);
}

/// A failover takes commits back, and another server makes others of their revisions.
async fn a_commit_that_was_lost_is_not_taken_for_another_of_its_revision(
    url: &str,
    execute: impl AsyncFn(&str) -> u64,
) {
    let [store, other] = two(url).await;
    let take_back = async |revisions: u64| {
        for sql in ["DELETE FROM event_log", "DELETE FROM assets"] {
            assert_eq!(execute(sql).await, revisions, "{sql}");
        }
        execute("UPDATE log_state SET revision = 0, commit_us = NULL").await;
    };
    // What another server commits has the symbol that was looked for.
    let looked_for = async |symbol: &str| {
        let mut snapshot = store.snapshot().await.unwrap();
        snapshot.keep_footprint();
        assert!(snapshot.assets_with_symbols(&[symbol.to_owned()]).await.unwrap().is_empty());
        snapshot.take_footprint()
    };
    let has_changed = async |footprint| store.snapshot().await.unwrap().has_changed(footprint).await.unwrap();
    let of_nothing = looked_for("MADE").await;
    create(&store, &[asset("LOST").into()]).await;
    let of_the_lost = looked_for("MADE").await;
    assert!(!has_changed(&of_nothing).await, "it knows its own commit");
    take_back(1).await;
    assert!(has_changed(&of_the_lost).await, "the log went back");
    create(&other, &[asset("MADE").into()]).await;
    assert!(has_changed(&of_nothing).await, "another commit has the revision of the one that it knows");
    assert!(has_changed(&of_the_lost).await, "and of the state that was read");
    create(&other, &[asset("LATER").into()]).await;
    assert!(has_changed(&of_the_lost).await, "which is not where the log goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_lost_is_not_taken_for_another_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/cqar.db", folder.path().display());
    let execute = async |sql: &str| execute_on_sqlite(&url, sql).await;
    a_commit_that_was_lost_is_not_taken_for_another_of_its_revision(&url, execute).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_was_lost_is_not_taken_for_another_on_postgres() {
    let postgres = Postgres::start();
    let execute = async |sql: &str| execute_on_postgres(postgres.url(), sql).await;
    a_commit_that_was_lost_is_not_taken_for_another_of_its_revision(postgres.url(), execute).await;
}
