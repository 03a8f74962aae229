//! The stored state that a plan needs, loaded in bulk, so that ten thousand mutations cost a few dozen
//! statements.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
};

use cqar_domain::{
    entities::{Entity, chain::MAX_LAYERS, deployment::Deployment},
    id::{ChainId, EntityKey, EntityType, VenueId},
    mutation::{Mutation, RequestedMutation},
    unique_key::UniqueKey,
    violation::Violations,
};
use cqar_store::Snapshot;

use super::{mutate::StagedEntity, relationships::Underlyings};

/// The stored state, as far as it was looked at.
#[derive(Debug, Default)]
pub(crate) struct LoadedState {
    /// None where the entity was looked up and does not exist.
    pub(super) entities: HashMap<EntityKey, Option<Entity>>,
    unique: HashMap<UniqueKey, Option<EntityKey>>,
    /// The markets that have, or had, a symbol.
    symbols: MarketsBySymbol,
    referrers: HashMap<EntityKey, Vec<EntityKey>>,
    /// What is touched, and was referred to before.
    once_referred: HashSet<EntityKey>,
    /// The instruments whose code an asset's new symbol changes.
    renamed: HashMap<EntityKey, Vec<EntityKey>>,
    /// The assets that have a symbol.
    named: HashMap<String, Vec<EntityKey>>,
    /// What the underlyings of new relationships are made of.
    pub(super) underlyings: Underlyings,
}

/// Markets by venue and symbol.
#[derive(Debug, Default)]
pub(super) struct MarketsBySymbol(HashMap<VenueId, HashMap<String, Vec<EntityKey>>>);

impl MarketsBySymbol {
    pub(super) fn of(&self, venue: &VenueId, symbol: &str) -> &[EntityKey] {
        self.0.get(venue).and_then(|symbols| symbols.get(symbol)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn add(&mut self, venue: &VenueId, symbol: &str, market: &EntityKey) {
        let markets = self.0.entry(venue.clone()).or_default().entry(symbol.to_owned()).or_default();
        if !markets.contains(market) {
            markets.push(market.clone());
        }
    }
}

impl LoadedState {
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
        self.symbols.of(venue, symbol)
    }

    /// The stored assets that have the symbol.
    pub(crate) fn assets(&self, symbol: &str) -> &[EntityKey] {
        self.named.get(symbol).map_or(&[], Vec::as_slice)
    }

    /// Whether the entity is touched, and is kept because something referred to it before.
    pub(crate) fn was_referred_to(&self, key: &EntityKey) -> bool {
        self.once_referred.contains(key)
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
        mutations: &[RequestedMutation],
    ) -> Result<(), cqar_store::Error> {
        let mut keys = HashSet::new();
        let mut unique = HashSet::new();
        let mut symbols = HashSet::new();
        let mut named = HashSet::new();
        self.fetch_chains(snapshot, created_deployments(mutations)).await?;
        for RequestedMutation { mutation, .. } in mutations {
            match mutation {
                Mutation::Create { entity, allow_existing } => {
                    if let (Entity::Asset(asset), true) = (entity, allow_existing) {
                        named.insert(asset.symbol.clone());
                    }
                    keys.insert(entity.key());
                    unique.extend(keys_of(&self.placed(entity)));
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
        self.fetch(snapshot, keys).await?;
        // An update may make another CAIP-19 id.
        let changed: Vec<ChainId> = self.entities.values().flatten().filter_map(chain_of_deployment).collect();
        self.fetch_chains(snapshot, changed).await
    }

    /// The chains on which deployments are: how an address is spelled is theirs to say.
    async fn fetch_chains(
        &mut self,
        snapshot: &mut Snapshot,
        chains: impl IntoIterator<Item = ChainId>,
    ) -> Result<(), cqar_store::Error> {
        self.fetch(snapshot, chains.into_iter().map(EntityKey::Chain).collect()).await
    }

    /// A deployment to be created, with the address as its chain spells it, if that is stored.
    fn placed<'a>(&self, entity: &'a Entity) -> Cow<'a, Entity> {
        let chain = chain_of_deployment(entity).map(EntityKey::Chain);
        match (entity, chain.and_then(|chain| self.entity(&chain))) {
            (Entity::Deployment(deployment), Some(Entity::Chain(chain))) => {
                let mut deployment = Deployment::clone(deployment);
                deployment.place(chain, &mut Violations::default());
                Cow::Owned(deployment.into())
            }
            _ => Cow::Borrowed(entity),
        }
    }

    /// What the touched entities refer to as they become, collide with, or are referred to by.
    pub(crate) async fn fetch_related<'a>(
        &mut self,
        snapshot: &mut Snapshot,
        touched: &[(&'a EntityKey, &'a StagedEntity)],
    ) -> Result<(), cqar_store::Error> {
        let mut keys = HashSet::new();
        let mut unique = HashSet::new();
        let mut symbols = HashSet::new();
        // Those that are touched may no longer refer: look far enough to see whether others do.
        let limit = MAX_REFERRERS + touched.len();
        let deleted =
            touched.iter().filter(|(_, state)| is_deleted(state.after.as_ref())).map(|(key, _)| (*key).clone());
        let deleted: Vec<EntityKey> = deleted.collect();
        for (key, referrers) in deleted.iter().zip(snapshot.referrers(&deleted, limit).await?) {
            self.referrers.insert(key.clone(), referrers);
        }
        let kept = touched.iter().filter(|(key, _)| key.entity_type().is_kept_once_referred_to());
        let kept: Vec<EntityKey> = kept.map(|(key, _)| (*key).clone()).collect();
        if !kept.is_empty() {
            self.once_referred.extend(snapshot.once_referred(&kept).await?);
        }
        for (_, state) in touched.iter().copied() {
            let Some(after) = &state.after else { continue };
            self.fetch_renamed(snapshot, after).await?;
            keys.extend(after.references().into_iter().map(|(_, key)| key));
            unique.extend(state.unique.iter().map(|(_, key)| key.clone()));
            unique.extend(after.excluded_keys().into_iter().map(|(_, key)| key));
            symbols.extend(symbols_of(after));
        }
        self.fetch_unique(snapshot, unique).await?;
        self.fetch_symbols(snapshot, symbols).await?;
        self.fetch(snapshot, keys).await?;
        self.fetch_parents(snapshot, touched).await?;
        self.fetch_underlyings(snapshot, touched).await?;
        // A new market's instrument may be stored; its terms tell whether it expires.
        let assets = self.entities.values().flatten().filter_map(|entity| match entity {
            Entity::Instrument(it) => Some(it.terms.assets()),
            _ => None,
        });
        let assets: HashSet<EntityKey> = assets.flatten().map(|(_, id)| EntityKey::Asset(id)).collect();
        self.fetch(snapshot, assets).await
    }

    /// The chains on which touched chains settle, one layer after the other.
    async fn fetch_parents(
        &mut self,
        snapshot: &mut Snapshot,
        touched: &[(&EntityKey, &StagedEntity)],
    ) -> Result<(), cqar_store::Error> {
        let touches_chains = touched.iter().any(|(key, _)| key.entity_type() == EntityType::Chain);
        for _ in 0..if touches_chains { MAX_LAYERS } else { 0 } {
            let parents = self.entities.values().flatten().filter_map(|entity| match entity {
                Entity::Chain(chain) => chain.parent_chain_id.clone().map(EntityKey::Chain),
                _ => None,
            });
            let parents: HashSet<EntityKey> = parents.filter(|key| !self.entities.contains_key(key)).collect();
            if parents.is_empty() {
                break;
            }
            self.fetch(snapshot, parents).await?;
        }
        Ok(())
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
        let missing: Vec<UniqueKey> = keys.into_iter().filter(|key| !self.unique.contains_key(key)).collect();
        let mut found = snapshot.with_unique_keys(&missing).await?;
        for key in missing {
            let owner = found.remove(&key).map(|entity| {
                let owner = entity.key();
                self.entities.insert(owner.clone(), Some(entity));
                owner
            });
            self.unique.insert(key, owner);
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
            let known = self.symbols.0.entry(venue.clone()).or_default();
            if !known.contains_key(&symbol) {
                known.insert(symbol.clone(), Vec::new());
                missing.entry(venue).or_default().push(symbol);
            }
        }
        for (venue, symbols) in missing {
            for market in snapshot.markets_with_symbols(&venue, &symbols).await? {
                let key = EntityKey::Market(market.id);
                for symbol in market.symbols() {
                    // Only of the symbols that were asked for is everything known.
                    if self.symbols.0.get(&venue).is_some_and(|known| known.contains_key(symbol)) {
                        self.symbols.add(&venue, symbol, &key);
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
    state.is_none_or(Entity::is_deleted)
}

fn created_deployments(mutations: &[RequestedMutation]) -> impl Iterator<Item = ChainId> {
    mutations.iter().filter_map(|requested| match &requested.mutation {
        Mutation::Create { entity, .. } => chain_of_deployment(entity),
        _ => None,
    })
}

fn chain_of_deployment(entity: &Entity) -> Option<ChainId> {
    if let Entity::Deployment(deployment) = entity { Some(deployment.chain_id.clone()) } else { None }
}

fn keys_of(entity: &Entity) -> impl Iterator<Item = UniqueKey> + use<> {
    entity.unique_keys().into_iter().map(|(_, key)| key)
}

fn symbols_of(entity: &Entity) -> Vec<(VenueId, String)> {
    match entity {
        Entity::Market(market) => market.symbols().map(|symbol| (market.venue_id.clone(), symbol.to_owned())).collect(),
        _ => Vec::new(),
    }
}
