//! The mutations one after the other, each on the state that those before it left.

use std::{collections::HashMap, sync::Arc};

use cqar_domain::{
    code::canonical_code,
    entities::{
        Entity,
        asset::{Asset, AssetType},
        deployment::Deployment,
        market::{Market, MarketStatus},
    },
    entity::{Revision, TypedEntity as _},
    id::{EntityKey, EntityType, MarketId, VenueId},
    mutation::{KeyRemap, Mutation, RequestedMutation},
    time::Timestamp,
    unique_key::UniqueKey,
    violation::{Violation, Violations},
};
use cqar_proto::convert;

use super::{LoadedState, MutationError, Plan, PlannedChange, loaded_state::MarketsBySymbol};
use crate::error::Error;

/// The state after the mutations so far.
#[derive(Debug, Default)]
pub(crate) struct StagedState {
    states: HashMap<EntityKey, StagedEntity>,
    /// The touched entities, in the order of their first mutation.
    order: Vec<EntityKey>,
    subjects: Vec<EntityKey>,
    /// Who has, or had on the way, a unique key.
    unique: HashMap<UniqueKey, Vec<EntityKey>>,
    /// The touched markets that have, or had on the way, a symbol.
    listings: MarketsBySymbol,
    /// The touched assets by symbol.
    named: HashMap<String, Vec<EntityKey>>,
    /// Whether an asset or a chain that was to be created turned out to be another one.
    has_replaced: bool,
    key_remap: KeyRemap,
    pub(crate) failures: Vec<MutationError>,
}

/// A touched entity.
#[derive(Debug)]
pub(crate) struct StagedEntity {
    pub(crate) after: Option<Entity>,
    /// The unique keys that it has then, and the fields that make them.
    pub(crate) unique: Vec<(&'static str, UniqueKey)>,
    pub(crate) effective_time: Option<Timestamp>,
    pub(crate) mutation: usize,
}

/// Applies all mutations to what is loaded.
pub(crate) fn stage(loaded: &LoadedState, mutations: &[RequestedMutation], now: Timestamp) -> StagedState {
    let mut staged = StagedState::with_capacity(mutations.len());
    for (n, RequestedMutation { field, mutation, .. }) in mutations.iter().enumerate() {
        let applier = MutationApplier { staged: &mut staged, loaded, path: field, mutation: n, now };
        let subject = match applier.apply(mutation) {
            Ok(subject) => subject,
            Err(error) => {
                staged.failures.push(MutationError { mutation: n, error });
                named(mutation)
            }
        };
        staged.subjects.push(subject);
    }
    staged.place_deployments(loaded, mutations);
    staged
}

fn named(mutation: &Mutation) -> EntityKey {
    match mutation {
        Mutation::Create { entity, .. } => entity.key(),
        Mutation::Update { key, .. } | Mutation::Delete { key, .. } | Mutation::Undelete { key, .. } => key.clone(),
        Mutation::Delist { market, .. } => EntityKey::Market(*market),
    }
}

impl StagedState {
    fn with_capacity(mutations: usize) -> Self {
        Self {
            states: HashMap::with_capacity(mutations),
            order: Vec::with_capacity(mutations),
            subjects: Vec::with_capacity(mutations),
            unique: HashMap::with_capacity(mutations),
            ..Self::default()
        }
    }

    /// Whether `allow_existing` replaced a new asset or chain by an existing one. The unique keys of what names it have changed with it
    /// (the terms of instruments, the places of deployments), and so the owners of these must be loaded again.
    pub(crate) fn has_replaced(&self) -> bool {
        self.has_replaced
    }

    /// The touched entities, in order.
    pub(crate) fn touched(&self) -> impl Iterator<Item = (&EntityKey, &StagedEntity)> {
        self.order.iter().filter_map(|key| self.states.get(key).map(|state| (key, state)))
    }

    /// The state of one, if it was touched.
    pub(crate) fn state(&self, key: &EntityKey) -> Option<&StagedEntity> {
        self.states.get(key)
    }

    /// An entity as the mutations leave it.
    pub(crate) fn current<'a>(&'a self, loaded: &'a LoadedState, key: &EntityKey) -> Option<&'a Entity> {
        match self.states.get(key) {
            Some(state) => state.after.as_ref(),
            None => loaded.entity(key),
        }
    }

    /// Whether the mutations leave the entity with the unique key.
    pub(crate) fn has_unique_key(&self, loaded: &LoadedState, key: &EntityKey, unique: &UniqueKey) -> bool {
        let has_it = |keys: &[(&str, UniqueKey)]| keys.iter().any(|(_, of_it)| of_it == unique);
        match self.states.get(key) {
            Some(state) => has_it(&state.unique),
            None => loaded.entity(key).is_some_and(|it| has_it(&it.unique_keys())),
        }
    }

    /// The touched entities that may have the unique key; see [`Self::has_unique_key`].
    pub(crate) fn with_unique_key(&self, unique: &UniqueKey) -> &[EntityKey] {
        self.unique.get(unique).map_or(&[], Vec::as_slice)
    }

    /// The touched markets that may have the symbol.
    pub(crate) fn markets(&self, venue: &VenueId, symbol: &str) -> &[EntityKey] {
        self.listings.of(venue, symbol)
    }

    fn put(&mut self, key: EntityKey, after: Option<Entity>, mutation: usize, effective_time: Option<Timestamp>) {
        let unique = after.as_ref().map(Entity::unique_keys).unwrap_or_default();
        for (_, unique) in &unique {
            self.unique.entry(unique.clone()).or_default().push(key.clone());
        }
        match &after {
            Some(Entity::Market(market)) => {
                for symbol in market.symbols() {
                    self.listings.add(&market.venue_id, symbol, &key);
                }
            }
            Some(Entity::Asset(asset)) => self.named.entry(asset.symbol.clone()).or_default().push(key.clone()),
            _ => {}
        }
        if self.states.insert(key.clone(), StagedEntity { after, unique, effective_time, mutation }).is_none() {
            self.order.push(key);
        }
    }

    /// Deployments are where their chains say once all is done: a chain may be created, or changed, after what is on it.
    fn place_deployments(&mut self, loaded: &LoadedState, mutations: &[RequestedMutation]) {
        if !self.order.iter().any(|key| key.entity_type() == EntityType::Chain) {
            return;
        }
        let deployments: Vec<(Arc<Deployment>, usize, Option<Timestamp>)> = self
            .touched()
            .filter_map(|(_, state)| match &state.after {
                Some(Entity::Deployment(it)) => Some((Arc::clone(it), state.mutation, state.effective_time)),
                _ => None,
            })
            .collect();
        for (deployment, mutation, effective_time) in deployments {
            let chain = EntityKey::Chain(deployment.chain_id.clone());
            let Some(Entity::Chain(chain)) = self.current(loaded, &chain) else { continue };
            let (mut placed, mut found) = (Deployment::clone(&deployment), Violations::default());
            placed.place(chain, &mut found);
            let key = deployment.key();
            if placed != *deployment {
                let placed = Entity::from(placed);
                found.extend_under("", placed.check());
                self.put(key, Some(placed), mutation, effective_time);
            }
            if let Err(found) = found.into_result() {
                let path = mutations.get(mutation).map_or("", |it| it.field.as_str());
                let error = Error::Invalid(found.into_iter().map(|it| it.under(path)).collect());
                self.failures.push(MutationError { mutation, error });
            }
        }
    }

    /// The net changes, once nothing is wrong.
    pub(crate) fn into_plan(
        mut self,
        loaded: &LoadedState,
        mutations: &[RequestedMutation],
        revision: Revision,
    ) -> Plan {
        self.touch_renamed(loaded);
        self.derive_codes(loaded);
        let mut changes = Vec::new();
        let mut unchanged = HashMap::new();
        for key in &self.subjects {
            if !self.states.contains_key(key)
                && let Some(entity) = loaded.entity(key)
            {
                unchanged.insert(key.clone(), entity.clone());
            }
        }
        for key in self.order {
            let (Some(state), before) = (self.states.remove(&key), loaded.entity(&key)) else { continue };
            match (before, &state.after) {
                // Created and deleted in one request.
                (None, None) => continue,
                (Some(before), Some(after)) if before.changed_fields(after).is_empty() => {
                    unchanged.insert(key, before.clone());
                    continue;
                }
                _ => {}
            }
            changes.push(PlannedChange {
                before: before.cloned(),
                after: state.after,
                effective_time: state.effective_time,
                reason: mutations.get(state.mutation).map(|it| it.reason.clone()).unwrap_or_default(),
                mutation: state.mutation,
            });
        }
        Plan { revision, changes, subjects: self.subjects, unchanged }
    }

    /// The code of an instrument is made of symbols: who changes a symbol changes the instruments that it is in.
    fn touch_renamed(&mut self, loaded: &LoadedState) {
        let renamed: Vec<(EntityKey, usize)> = self
            .touched()
            .flat_map(|(key, state)| loaded.renamed(key).iter().map(|it| (it.clone(), state.mutation)))
            .collect();
        for (key, mutation) in renamed {
            if !self.states.contains_key(&key) {
                let after = loaded.entity(&key).cloned();
                self.put(key, after, mutation, None);
            }
        }
    }

    /// The codes of the touched instruments: one may be new, or have an asset whose symbol changes.
    fn derive_codes(&mut self, loaded: &LoadedState) {
        let codes: Vec<(EntityKey, String)> = self
            .touched()
            .filter_map(|(key, state)| {
                let Some(Entity::Instrument(instrument)) = &state.after else { return None };
                let symbol = |id| match self.current(loaded, &EntityKey::Asset(id)) {
                    Some(Entity::Asset(asset)) => Some(asset.symbol.as_str()),
                    _ => None,
                };
                Some((key.clone(), canonical_code(&instrument.terms, symbol)?))
            })
            .collect();
        for (key, code) in codes {
            if let Some(StagedEntity { after: Some(Entity::Instrument(instrument)), .. }) = self.states.get_mut(&key) {
                Arc::make_mut(instrument).code = code;
            }
        }
    }
}

/// Applies one mutation of a request to the staged state.
struct MutationApplier<'a> {
    staged: &'a mut StagedState,
    loaded: &'a LoadedState,
    path: &'a str,
    mutation: usize,
    now: Timestamp,
}

impl MutationApplier<'_> {
    fn apply(mut self, mutation: &Mutation) -> Result<EntityKey, Error> {
        match mutation {
            Mutation::Create { entity, allow_existing } => self.create(entity, *allow_existing),
            Mutation::Update { key, etag, patch } => {
                let before = self.present(key, etag.as_deref())?;
                let after = patch.apply(&before).map_err(|found| self.invalid(found))?;
                self.change(&before, after, None)
            }
            Mutation::Delete { key, etag } => self.delete(key, etag.as_deref()),
            Mutation::Undelete { key, etag } => self.undelete(key, etag.as_deref()),
            Mutation::Delist { market, at, etag } => self.delist(*market, *at, etag.as_deref()),
        }
    }

    fn create(&mut self, entity: &Entity, allow_existing: bool) -> Result<EntityKey, Error> {
        let mut entity = entity.clone();
        self.staged.key_remap.apply(&mut entity);
        self.place(&mut entity)?;
        let made = entity.key();
        if allow_existing && let Some(existing) = self.existing(&entity)? {
            if self.staged.current(self.loaded, &existing).is_some_and(Entity::is_deleted) {
                return Err(Error::AlreadyExists { field: self.path.to_owned(), existing, deleted: true });
            }
            if let Some(old) = self.staged.current(self.loaded, &existing) {
                let mut found = Violations::default();
                entity.contradictions(old, &mut found);
                found.into_result().map_err(|found| self.invalid(found))?;
            }
            self.staged.has_replaced |= matches!(made, EntityKey::Asset(_) | EntityKey::Chain(_)) && made != existing;
            self.staged.key_remap.insert(made, existing.clone());
            return Ok(existing);
        }
        // An id that was deleted in the same request is not free either: what has it would become something else.
        if let Some(existing) = self.staged.current(self.loaded, &made).or_else(|| self.loaded.entity(&made)) {
            let deleted = existing.is_deleted();
            return Err(Error::AlreadyExists { field: format!("{}.id", self.path), existing: made, deleted });
        }
        self.checked(&entity)?;
        let listed = match &entity {
            Entity::Market(market) => market.listed_time,
            _ => None,
        };
        self.staged.put(made.clone(), Some(entity), self.mutation, listed);
        Ok(made)
    }

    /// The entity that a creation would repeat: by id, by unique key, or, of assets, by symbol, and of markets, by symbol
    /// and time.
    fn existing(&self, entity: &Entity) -> Result<Option<EntityKey>, Error> {
        let exists = |key: &EntityKey| self.staged.current(self.loaded, key).is_some();
        let key = Some(entity.key()).filter(exists);
        let unique = || {
            entity.identifying_keys().find_map(|unique| {
                let has_it = |key: &&EntityKey| self.staged.has_unique_key(self.loaded, key, &unique);
                let staged = self.staged.with_unique_key(&unique).iter().rev().find(has_it);
                staged.or_else(|| self.loaded.owner(&unique).filter(has_it)).cloned()
            })
        };
        match (key.or_else(unique), entity) {
            (None, Entity::Asset(asset)) => self.asset_with_symbol(asset),
            (None, Entity::Market(market)) => self.market_with_symbol(market),
            (found, _) => Ok(found),
        }
    }

    /// The asset that a creation would repeat: one that nobody classified, of the same name; else the one classified asset with
    /// the symbol. Which of several is meant is not guessed.
    fn asset_with_symbol(&self, asset: &Asset) -> Result<Option<EntityKey>, Error> {
        let staged = self.staged.named.get(&asset.symbol).into_iter().flatten();
        let mut all: Vec<&EntityKey> = self.loaded.assets(&asset.symbol).iter().chain(staged).collect();
        all.sort();
        all.dedup();
        let having = |is_wanted: &dyn Fn(&Asset) -> bool| -> Vec<&EntityKey> {
            let wanted = |key: &&EntityKey| match self.staged.current(self.loaded, key) {
                Some(Entity::Asset(it)) => it.symbol == asset.symbol && it.meta.delete_time.is_none() && is_wanted(it),
                _ => false,
            };
            all.iter().copied().filter(wanted).collect()
        };
        let is_classified = |it: &Asset| it.asset_type != AssetType::Unclassified;
        if !is_classified(asset) {
            let same = having(&|it| !is_classified(it) && it.name == asset.name);
            if !same.is_empty() {
                return self.the_only_one("symbol", &same);
            }
        }
        self.the_only_one("symbol", &having(&is_classified))
    }

    /// The market that a creation would repeat: of those with the symbol at that time the one that is live, else the only one.
    fn market_with_symbol(&self, market: &Market) -> Result<Option<EntityKey>, Error> {
        let stored = self.loaded.markets(&market.venue_id, &market.venue_symbol).iter();
        let all = stored.chain(self.staged.markets(&market.venue_id, &market.venue_symbol));
        let mut found: Vec<&EntityKey> = all.filter(|key| self.is_same_listing(key, market)).collect();
        found.sort();
        found.dedup();
        let is_live = |key: &&EntityKey| match self.staged.current(self.loaded, key) {
            Some(Entity::Market(it)) => it.interval().contains(self.now),
            _ => false,
        };
        match found.iter().copied().find(is_live) {
            Some(live) => Ok(Some(live.clone())),
            None => self.the_only_one("venue_symbol", &found),
        }
    }

    fn the_only_one(&self, field: &str, found: &[&EntityKey]) -> Result<Option<EntityKey>, Error> {
        match found {
            [] => Ok(None),
            [one] => Ok(Some((*one).clone())),
            [first, ..] => Err(Error::AlreadyExists {
                field: format!("{}.{field}", self.path),
                existing: (*first).clone(),
                deleted: false,
            }),
        }
    }

    fn is_same_listing(&self, key: &EntityKey, market: &Market) -> bool {
        match self.staged.current(self.loaded, key) {
            Some(Entity::Market(other)) => {
                (&other.venue_id, &other.segment, &other.venue_symbol)
                    == (&market.venue_id, &market.segment, &market.venue_symbol)
                    && other.interval().overlaps(&market.interval())
            }
            _ => false,
        }
    }

    fn delete(&mut self, key: &EntityKey, etag: Option<&str>) -> Result<EntityKey, Error> {
        let key = &self.staged.key_remap.key(key);
        let before = self.existing_with_etag(key, etag)?;
        if before.is_deleted() {
            return Err(Error::NotFound { field: self.path.to_owned(), key: key.clone() });
        }
        let after = key.entity_type().has_soft_delete().then(|| {
            let mut after = before;
            after.meta_mut().delete_time = Some(self.now);
            after
        });
        self.staged.put(key.clone(), after, self.mutation, None);
        Ok(key.clone())
    }

    fn undelete(&mut self, key: &EntityKey, etag: Option<&str>) -> Result<EntityKey, Error> {
        let key = &self.staged.key_remap.key(key);
        let before = self.existing_with_etag(key, etag)?;
        if before.is_deleted() {
            let mut after = before;
            after.meta_mut().delete_time = None;
            self.staged.put(key.clone(), Some(after), self.mutation, None);
        }
        Ok(key.clone())
    }

    /// A market delisted from a later moment on is DELISTING until then, or what it is before it is listed.
    fn delist(&mut self, market: MarketId, at: Option<Timestamp>, etag: Option<&str>) -> Result<EntityKey, Error> {
        let before = self.present(&EntityKey::Market(market), etag)?;
        let Entity::Market(listed) = &before else { return Ok(before.key()) };
        if listed.status == MarketStatus::Delisted && at.is_none_or(|at| listed.delisted_time == Some(at)) {
            return Ok(before.key());
        }
        let at = at.unwrap_or(self.now);
        let status = match listed.listed_time {
            _ if at <= self.now => MarketStatus::Delisted,
            Some(listed_time) if listed_time > self.now => listed.status,
            _ => MarketStatus::Delisting,
        };
        let after = Market { status, delisted_time: Some(at), ..Market::clone(listed) };
        self.change(&before, after.into(), Some(at))
    }

    fn change(&mut self, before: &Entity, mut after: Entity, effective: Option<Timestamp>) -> Result<EntityKey, Error> {
        self.staged.key_remap.apply(&mut after);
        let placed = self.place(&mut after);
        // What cannot be changed need not be right.
        let mut found = Violations::default();
        convert::immutable_changes(before, &after, &mut found);
        found.into_result().map_err(|found| self.invalid(found))?;
        placed?;
        self.checked(&after)?;
        let key = before.key();
        self.staged.put(key.clone(), Some(after), self.mutation, effective);
        Ok(key)
    }

    /// The entity, undeleted.
    fn present(&self, key: &EntityKey, etag: Option<&str>) -> Result<Entity, Error> {
        let entity = self.existing_with_etag(key, etag)?;
        if entity.is_deleted() {
            return Err(Error::Deleted { field: self.path.to_owned(), key: key.clone() });
        }
        Ok(entity)
    }

    fn existing_with_etag(&self, key: &EntityKey, etag: Option<&str>) -> Result<Entity, Error> {
        let key = &self.staged.key_remap.key(key);
        let Some(entity) = self.staged.current(self.loaded, key) else {
            return Err(Error::NotFound { field: self.path.to_owned(), key: key.clone() });
        };
        let current = entity.meta().etag();
        if etag.is_some_and(|etag| etag != current) {
            return Err(Error::StaleEtag { field: self.path.to_owned(), key: key.clone(), current });
        }
        Ok(entity.clone())
    }

    /// A deployment is at its address as its chain spells it; without its chain it is refused later.
    fn place(&self, entity: &mut Entity) -> Result<(), Error> {
        let Entity::Deployment(deployment) = entity else { return Ok(()) };
        let chain = EntityKey::Chain(deployment.chain_id.clone());
        let Some(Entity::Chain(chain)) = self.staged.current(self.loaded, &chain) else { return Ok(()) };
        let mut found = Violations::default();
        Arc::make_mut(deployment).place(chain, &mut found);
        found.into_result().map_err(|found| self.invalid(found))
    }

    fn checked(&self, entity: &Entity) -> Result<(), Error> {
        entity.check().into_result().map_err(|found| self.invalid(found))
    }

    fn invalid(&self, found: Vec<Violation>) -> Error {
        // The mask stands beside the operation, `mutations[3].update.asset`, or beside the entity of a request, `asset`.
        let beside = self.path.split_once('.').map_or("", |(mutation, _)| mutation);
        let of_mask = |violation: &Violation| violation.field.starts_with("update_mask");
        let located = |it: Violation| if of_mask(&it) { it.under(beside) } else { it.under(self.path) };
        Error::Invalid(found.into_iter().map(located).collect())
    }
}
