//! What reads depend on: whatever alters an answer touches it.

use std::{collections::BTreeMap, sync::Arc};

use cqar_domain::{
    entities::{Entity, EntityVariant, asset::Asset, instrument::Instrument, market::Market, venue_asset::VenueAsset},
    id::EntityKey,
    unique_key::UniqueKey,
};
use cqar_store::{Snapshot, Store};
use cqar_tests::{
    entities::{asset, change, create, deposit, instrument, market, venue, venue_asset, write},
    kinds::one_of_each,
};

use crate::now;

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
            9 => ("referrers", format!("{:?}", snapshot.referrers(&self.keys, 100).await.unwrap())),
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
            venue("another").into(),
        ];
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
        ];
        let altered = altered.into_iter().map(|(before, after)| (Some(before), Some(after)));
        let deleted = [market_of_it.clone().into(), bindings[0].clone().into()].map(|it: Entity| (Some(it), None));
        created.into_iter().map(|it| (None, Some(it))).chain(altered).chain(deleted).collect()
    }
}

pub async fn what_alters_an_answer_touches_what_it_depends_on(store: Arc<Store>) {
    let entities = one_of_each();
    create(&store, &entities).await;
    let keys: Vec<EntityKey> = entities.iter().map(Entity::key).collect();
    let unique = entities.iter().flat_map(Entity::unique_keys).map(|(_, key)| key).collect();
    let asked = Asked { entities, keys, unique };
    let (mut altered, mut spared) = (BTreeMap::new(), BTreeMap::new());
    for (before, after) in asked.changes() {
        for n in 0.. {
            let mut snapshot = store.snapshot().await.unwrap();
            snapshot.keep_footprint();
            let Some((name, answer)) = asked.read(n, &mut snapshot).await else { break };
            let (footprint, since) = (snapshot.take_footprint(), snapshot.revision());
            assert!(!snapshot.has_changed(&footprint, since).await.unwrap(), "nothing was committed");
            // The change, and back.
            write(&store, vec![change(before.clone(), after.clone())]).await;
            let mut snapshot = store.snapshot().await.unwrap();
            let changed = snapshot.has_changed(&footprint, since).await.unwrap();
            let (_, answer_after) = asked.read(n, &mut snapshot).await.unwrap();
            let is_altered = answer_after != answer;
            assert!(changed || !is_altered, "{name}: {before:?} to {after:?} altered {answer} to {answer_after}");
            *altered.entry(name).or_insert(0) += usize::from(is_altered);
            *spared.entry(name).or_insert(0) += usize::from(!changed);
            drop(snapshot);
            write(&store, vec![change(after.clone(), before.clone())]).await;
        }
    }
    assert!(
        altered.len() == 10 && altered.values().all(|count| *count > 0),
        "each is altered by something: {altered:?}"
    );
    assert!(spared.values().all(|count| *count > 0), "and left alone by something: {spared:?}");
    // More than are looked through are too many, and so is what nobody noted.
    let mut snapshot = store.snapshot().await.unwrap();
    let unknown = snapshot.take_footprint();
    snapshot.keep_footprint();
    let (footprint, since) = (snapshot.take_footprint(), snapshot.revision());
    drop(snapshot);
    create(&store, &[asset("ONE").into()]).await;
    let mut snapshot = store.snapshot().await.unwrap();
    assert!(!snapshot.has_changed(&footprint, since).await.unwrap());
    assert!(snapshot.has_changed(&unknown, since).await.unwrap());
    drop(snapshot);
    for n in 0..20 {
        create(&store, &[asset(&format!("N{n}")).into()]).await;
    }
    assert!(!store.snapshot().await.unwrap().has_changed(&footprint, since).await.unwrap());
    create(&store, &(0..6000).map(|n| asset(&format!("M{n}")).into()).collect::<Vec<_>>()).await;
    assert!(store.snapshot().await.unwrap().has_changed(&footprint, since).await.unwrap());
}
