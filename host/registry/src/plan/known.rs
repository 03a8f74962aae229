//! What a plan knows of the stored state. It is fetched in bulk, so that ten thousand mutations cost a few dozen
//! statements.

use std::collections::{HashMap, HashSet};

use cqar_domain::{entities::Entity, id::{EntityKey, VenueId}, mutation::Mutation};
use cqar_store::Snapshot;

use super::mutate::Draft;

/// A key that no two entities share.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum UniqueKey {
    Caip2(String),
    VenueCode(VenueId, String),
    Terms(String),
}

/// The stored state, as far as it was looked at.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// None: it is known that there is none.
    entities: HashMap<EntityKey, Option<Entity>>,
    unique: HashMap<UniqueKey, Option<EntityKey>>,
    /// The markets that have, or had, a symbol.
    symbols: HashMap<(VenueId, String), Vec<EntityKey>>,
    referrers: HashMap<EntityKey, Vec<EntityKey>>,
    /// The instruments whose code an asset's new symbol changes.
    renamed: HashMap<EntityKey, Vec<EntityKey>>,
    /// The assets that have a symbol.
    named: HashMap<String, Vec<EntityKey>>,
}

impl UniqueKey {
    /// The key of an entity that has one besides its id.
    pub(crate) fn of(entity: &Entity) -> Option<Self> {
        match entity {
            Entity::Chain(it) => Some(Self::Caip2(it.caip2.clone())),
            Entity::VenueAsset(it) => Some(Self::VenueCode(it.venue.clone(), it.code.clone())),
            Entity::Instrument(it) => Some(Self::Terms(it.terms.unique_key())),
            Entity::Asset(_) | Entity::Venue(_) | Entity::Market(_) => None,
        }
    }

    /// The field that a collision is about.
    pub(crate) const fn field(&self) -> &'static str {
        match self {
            Self::Caip2(_) => "caip2",
            Self::VenueCode(..) => "code",
            Self::Terms(_) => "terms",
        }
    }
}

impl Known {
    /// The stored entity.
    pub(crate) fn entity(&self, key: &EntityKey) -> Option<&Entity> {
        self.entities.get(key)?.as_ref()
    }

    /// Who has the unique key.
    pub(crate) fn owner(&self, key: &UniqueKey) -> Option<&EntityKey> {
        self.unique.get(key)?.as_ref()
    }

    /// The stored markets that have, or had, the symbol.
    pub(crate) fn markets(&self, venue: &VenueId, symbol: &str) -> &[EntityKey] {
        self.symbols.get(&(venue.clone(), symbol.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The stored assets that have the symbol.
    pub(crate) fn assets(&self, symbol: &str) -> &[EntityKey] {
        self.named.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// Some of those that refer to the entity.
    pub(crate) fn referrers(&self, key: &EntityKey) -> &[EntityKey] {
        self.referrers.get(key).map_or(&[], Vec::as_slice)
    }

    /// The stored instruments whose code the asset's new symbol changes; not all of them if together with those of
    /// other assets they are too many.
    pub(crate) fn renamed(&self, key: &EntityKey) -> &[EntityKey] {
        self.renamed.get(key).map_or(&[], Vec::as_slice)
    }

    /// Whether new symbols change more codes than one request may change.
    pub(crate) fn renames_too_many(&self) -> bool {
        self.renamed_count() > MAX_RENAMED as usize
    }

    fn renamed_count(&self) -> usize {
        self.renamed.values().map(Vec::len).sum()
    }

    /// What the mutations name, and what their creations may turn out to mean.
    pub(crate) async fn fetch_targets(
        &mut self,
        snapshot: &mut Snapshot,
        mutations: &[(String, Mutation)],
    ) -> Result<(), cqar_store::Error> {
        let mut keys = HashSet::new();
        let mut unique = HashSet::new();
        let mut symbols = HashSet::new();
        let mut named = HashSet::new();
        for (_, mutation) in mutations {
            match mutation {
                Mutation::Create { entity, allow_existing } => {
                    if let (Entity::Asset(asset), true) = (entity, allow_existing) {
                        named.insert(asset.symbol.clone());
                    }
                    keys.insert(entity.key());
                    unique.extend(UniqueKey::of(entity));
                    symbols.extend(symbols_of(entity));
                }
                Mutation::Update { key, .. } | Mutation::Delete { key, .. } | Mutation::Undelete { key, .. } => {
                    keys.insert(key.clone());
                }
                Mutation::Delist { market, .. } => {
                    keys.insert(EntityKey::Market(*market));
                }
            }
        }
        self.fetch_named(snapshot, named).await?;
        self.fetch_unique(snapshot, unique).await?;
        self.fetch_symbols(snapshot, symbols).await?;
        self.fetch(snapshot, keys).await
    }

    /// What the drafted changes refer to, collide with, or are referred to by.
    pub(crate) async fn fetch_surroundings(
        &mut self,
        snapshot: &mut Snapshot,
        draft: &Draft,
    ) -> Result<(), cqar_store::Error> {
        let mut keys = HashSet::new();
        let mut unique = HashSet::new();
        let mut symbols = HashSet::new();
        // Those that are touched may no longer refer: look far enough to see whether others do.
        let limit = MAX_REFERRERS + draft.states().count();
        for (key, state) in draft.states() {
            if is_deleted(state) {
                let referrers = snapshot.referrers(key, u32::try_from(limit).unwrap_or(u32::MAX)).await?;
                self.fetch(snapshot, referrers.iter().cloned().collect()).await?;
                self.referrers.insert(key.clone(), referrers);
            }
            let Some(after) = state else { continue };
            self.fetch_renamed(snapshot, after).await?;
            keys.extend(after.references().into_iter().map(|(_, key)| key));
            unique.extend(UniqueKey::of(after));
            symbols.extend(symbols_of(after));
        }
        self.fetch_unique(snapshot, unique).await?;
        self.fetch_symbols(snapshot, symbols).await?;
        self.fetch(snapshot, keys).await?;
        // A new market's instrument may be stored; its terms tell whether it expires.
        let assets = self.entities.values().flatten().filter_map(|entity| match entity {
            Entity::Instrument(it) => Some(it.terms.assets()),
            _ => None,
        });
        let assets: HashSet<EntityKey> = assets.flatten().map(|(_, id)| EntityKey::Asset(id)).collect();
        self.fetch(snapshot, assets).await
    }

    async fn fetch_renamed(&mut self, snapshot: &mut Snapshot, after: &Entity) -> Result<(), cqar_store::Error> {
        let key = after.key();
        let (Some(Entity::Asset(before)), Entity::Asset(after)) = (self.entity(&key), after) else { return Ok(()) };
        let has_new_symbol = before.symbol != after.symbol;
        self.renamed.remove(&key);
        if !has_new_symbol || self.renames_too_many() {
            return Ok(());
        }
        // One more than there may be tells that there are too many.
        let left = (MAX_RENAMED + 1).saturating_sub(u32::try_from(self.renamed_count()).unwrap_or(u32::MAX));
        let instruments = snapshot.instruments_of_asset(after.id, left).await?;
        self.renamed.insert(key, instruments.iter().map(|it| EntityKey::Instrument(it.id)).collect());
        self.entities.extend(instruments.into_iter().map(|it| (EntityKey::Instrument(it.id), Some(it.into()))));
        Ok(())
    }

    async fn fetch(&mut self, snapshot: &mut Snapshot, keys: HashSet<EntityKey>) -> Result<(), cqar_store::Error> {
        let missing: Vec<EntityKey> = keys.into_iter().filter(|key| !self.entities.contains_key(key)).collect();
        let found = snapshot.entities(&missing).await?;
        self.entities.extend(missing.into_iter().zip(found));
        Ok(())
    }

    async fn fetch_named(
        &mut self,
        snapshot: &mut Snapshot,
        symbols: HashSet<String>,
    ) -> Result<(), cqar_store::Error> {
        let symbols: Vec<String> = symbols.into_iter().collect();
        for asset in snapshot.assets_with_symbols(&symbols).await? {
            let key = EntityKey::Asset(asset.id);
            self.named.entry(asset.symbol.clone()).or_default().push(key.clone());
            self.entities.insert(key, Some(asset.into()));
        }
        Ok(())
    }

    async fn fetch_unique(
        &mut self,
        snapshot: &mut Snapshot,
        keys: HashSet<UniqueKey>,
    ) -> Result<(), cqar_store::Error> {
        let (mut caip2, mut terms) = (Vec::new(), Vec::new());
        let mut codes: HashMap<VenueId, Vec<String>> = HashMap::new();
        for key in keys {
            if self.unique.contains_key(&key) {
                continue;
            }
            match &key {
                UniqueKey::Caip2(it) => caip2.push(it.clone()),
                UniqueKey::Terms(it) => terms.push(it.clone()),
                UniqueKey::VenueCode(venue, code) => codes.entry(venue.clone()).or_default().push(code.clone()),
            }
            self.unique.insert(key, None);
        }
        let mut found: Vec<Entity> = Vec::new();
        found.extend(snapshot.chains_with_caip2(&caip2).await?.into_iter().map(Entity::from));
        found.extend(snapshot.instruments_with_terms(&terms).await?.into_iter().map(Entity::from));
        for (venue, codes) in codes {
            found.extend(snapshot.venue_assets_with_codes(&venue, &codes).await?.into_iter().map(Entity::from));
        }
        for entity in found {
            if let Some(key) = UniqueKey::of(&entity) {
                self.unique.insert(key, Some(entity.key()));
            }
            self.entities.insert(entity.key(), Some(entity));
        }
        Ok(())
    }

    async fn fetch_symbols(
        &mut self,
        snapshot: &mut Snapshot,
        symbols: HashSet<(VenueId, String)>,
    ) -> Result<(), cqar_store::Error> {
        let mut missing: HashMap<VenueId, Vec<String>> = HashMap::new();
        for (venue, symbol) in symbols {
            if self.symbols.contains_key(&(venue.clone(), symbol.clone())) {
                continue;
            }
            missing.entry(venue.clone()).or_default().push(symbol.clone());
            self.symbols.insert((venue, symbol), Vec::new());
        }
        for (venue, symbols) in missing {
            for market in snapshot.markets_with_symbols(&venue, &symbols).await? {
                let key = EntityKey::Market(market.id);
                for symbol in market.symbols() {
                    // Only of the symbols that were asked for is everything known.
                    if let Some(owners) = self.symbols.get_mut(&(venue.clone(), symbol.to_owned()))
                        && !owners.contains(&key)
                    {
                        owners.push(key.clone());
                    }
                }
                self.entities.insert(key, Some(market.into()));
            }
        }
        Ok(())
    }
}

/// The most referrers that a refusal names.
pub(crate) const MAX_REFERRERS: usize = 10;

/// The most instruments whose code one request may change by new symbols: what one transaction writes in a second or
/// two, while every other write waits.
pub(crate) const MAX_RENAMED: u32 = 20_000;

fn is_deleted(state: Option<&Entity>) -> bool {
    state.is_none_or(|entity| entity.meta().delete_time.is_some())
}

fn symbols_of(entity: &Entity) -> Vec<(VenueId, String)> {
    match entity {
        Entity::Market(market) => market.symbols().map(|symbol| (market.venue.clone(), symbol.to_owned())).collect(),
        _ => Vec::new(),
    }
}
