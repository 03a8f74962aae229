//! The invariants between entities: references, unique keys, symbols in time, deletions.

use std::{cell::Cell, collections::HashMap};

use cqar_domain::{
    entities::{
        Entity,
        chain::{Chain, MAX_LAYERS},
        market::Market,
        relationship::Relationship,
        venue_asset::{VenueAsset, VenueAssetNetwork},
    },
    id::{AssetId, EntityKey},
    mutation::RequestedMutation,
    unique_key::UniqueKey,
    violation::Violations,
};

use super::{
    LoadedState, MutationError,
    loaded_state::{MAX_REFERRERS, MAX_RENAMED},
    mutate::{StagedEntity, StagedState},
    relationships::{MAX_STEPS, by_derivative},
};
use crate::error::Error;

/// Every rule that the staged state violates.
pub(crate) fn violated_rules(
    loaded: &LoadedState,
    staged: &StagedState,
    mutations: &[RequestedMutation],
) -> Vec<MutationError> {
    let rules = Rules {
        loaded,
        staged,
        referrers: referrers(staged),
        new_relationships: by_derivative(loaded, staged),
        steps_left: Cell::new(MAX_STEPS),
    };
    let mut failures = Vec::new();
    for (key, state) in staged.touched() {
        let path = mutations.get(state.mutation).map_or("", |it| it.field.as_str());
        // What is only marked as deleted stays in the tables, and keeps to their rules.
        let mut found =
            state.after.as_ref().map(|after| rules.check_present(key, after, state, path)).unwrap_or_default();
        if state.after.as_ref().is_none_or(Entity::is_deleted) {
            found.extend(rules.check_deleted(key, path));
        }
        failures.extend(found.into_iter().map(|error| MutationError { mutation: state.mutation, error }));
    }
    failures
}

pub(super) struct Rules<'a> {
    pub(super) loaded: &'a LoadedState,
    pub(super) staged: &'a StagedState,
    referrers: HashMap<EntityKey, Vec<&'a EntityKey>>,
    /// The relationships that the request adds, by their derivative.
    pub(super) new_relationships: HashMap<AssetId, Vec<&'a Relationship>>,
    /// How many more steps are taken along relationships.
    pub(super) steps_left: Cell<usize>,
}

/// Which of the touched entities refer to another one; nothing where none is deleted, which alone asks for them.
fn referrers(staged: &StagedState) -> HashMap<EntityKey, Vec<&EntityKey>> {
    let mut referrers: HashMap<EntityKey, Vec<&EntityKey>> = HashMap::new();
    if staged.touched().all(|(_, state)| state.after.as_ref().is_some_and(|it| !it.is_deleted())) {
        return referrers;
    }
    for (key, state) in staged.touched() {
        let Some(after) = state.after.as_ref().filter(|it| !it.is_deleted()) else { continue };
        for (_, target) in after.references() {
            referrers.entry(target).or_default().push(key);
        }
    }
    referrers
}

impl Rules<'_> {
    fn current(&self, key: &EntityKey) -> Option<&Entity> {
        self.staged.current(self.loaded, key)
    }

    fn check_present(&self, key: &EntityKey, after: &Entity, state: &StagedEntity, path: &str) -> Vec<Error> {
        let mut found = Violations::default();
        self.references(key, after, &mut found);
        match after {
            Entity::Market(market) => self.expiry(market, &mut found),
            Entity::Chain(chain) => {
                self.caip2(key, chain, &mut found);
                self.layers(key, chain, &mut found);
            }
            Entity::VenueAsset(bound) => self.deployments(key, bound, &mut found),
            Entity::Relationship(relationship) => self.relationship(key, relationship, &mut found),
            _ => {}
        }
        if self.loaded.renames_too_many() && !self.loaded.renamed(key).is_empty() {
            let message = format_args!("would change the codes of more than {MAX_RENAMED} instruments at once");
            found.add("symbol", "TOO_MANY_CODES", message);
        }
        let mut errors = Vec::new();
        if let Err(found) = found.into_result() {
            errors.push(Error::Invalid(found.into_iter().map(|violation| violation.under(path)).collect()));
        }
        errors.extend(self.unique_keys(key, state, path));
        errors.extend(self.excluded_keys(key, after, path));
        if let Entity::Market(market) = after {
            errors.extend(self.symbols(key, market, state, path));
        }
        errors
    }

    /// What is referred to exists. What is deleted takes no new references.
    fn references(&self, key: &EntityKey, after: &Entity, found: &mut Violations) {
        // What is undeleted refers to all of it anew; what stays, or becomes, deleted keeps what it had.
        let before = self.loaded.entity(key).filter(|before| !before.is_deleted() || after.is_deleted());
        let old = before.map(Entity::references).unwrap_or_default();
        for (field, target) in after.references() {
            match self.current(&target) {
                None => found.add(field, "UNKNOWN_REFERENCE", format_args!("there is no {target}")),
                Some(it) if it.is_deleted() && !old.contains(&(field, target.clone())) => {
                    found.add(field, "DELETED_REFERENCE", format_args!("{target} is deleted"));
                }
                Some(_) => {}
            }
        }
    }

    /// What refers to a chain was read by its CAIP-2 id.
    fn caip2(&self, key: &EntityKey, chain: &Chain, found: &mut Violations) {
        let is_changed = matches!(self.loaded.entity(key), Some(Entity::Chain(before)) if before.caip2 != chain.caip2);
        if is_changed && self.loaded.was_referred_to(key) {
            found.add("caip2", "IMMUTABLE", "cannot be changed: something referred to the chain");
        }
    }

    /// A chain settles on others, none of which settles on it.
    fn layers(&self, key: &EntityKey, chain: &Chain, found: &mut Violations) {
        let mut parent = chain.parent_chain_id.as_ref();
        // A circle has a parent that is said anew.
        if matches!(self.loaded.entity(key), Some(Entity::Chain(before)) if before.parent_chain_id.as_ref() == parent) {
            return;
        }
        for _ in 1..MAX_LAYERS {
            let Some(id) = parent else { return };
            if *id == chain.id {
                return found.add("parent_chain_id", "CYCLE", "must not be a chain that settles on this one");
            }
            parent = match self.current(&EntityKey::Chain(id.clone())) {
                Some(Entity::Chain(it)) => it.parent_chain_id.as_ref(),
                _ => None,
            };
        }
        if parent.is_some() {
            let message = format_args!("must be such that at most {MAX_LAYERS} chains settle on one another");
            found.add("parent_chain_id", "TOO_DEEP", message);
        }
    }

    /// What an asset is on a network of a venue is a deployment of that asset, on the network's chain.
    fn deployments(&self, key: &EntityKey, bound: &VenueAsset, found: &mut Violations) {
        // What was said before the venue's chains were changed stands; answers warn of it.
        let said: &[VenueAssetNetwork] = match self.loaded.entity(key) {
            Some(Entity::VenueAsset(before)) if before.asset_id == bound.asset_id => &before.networks,
            _ => &[],
        };
        let venue = self.current(&EntityKey::Venue(bound.venue_id.clone()));
        let mapped = |code: &str| match venue {
            Some(Entity::Venue(venue)) => venue.network_chain_ids.get(code),
            _ => None,
        };
        for (n, network) in bound.networks.iter().enumerate() {
            let Some(id) = network.deployment_id.filter(|_| !said.contains(network)) else { continue };
            // One that is not there is refused as a reference.
            let Some(Entity::Deployment(deployment)) = self.current(&EntityKey::Deployment(id)) else { continue };
            let field = format!("networks[{n}].deployment_id");
            if deployment.asset_id != bound.asset_id {
                found.add(&field, "OTHER_ASSET", format_args!("is one of asset {}", deployment.asset_id));
            }
            let chain = network.chain_id.as_ref().or_else(|| mapped(&network.network));
            if chain.is_some_and(|chain| *chain != deployment.chain_id) {
                found.add(&field, "OTHER_CHAIN", format_args!("is on chain {}", deployment.chain_id));
            }
        }
    }

    /// A dated contract's market has the instant at which it ends, on the day of its terms; any other has none.
    fn expiry(&self, market: &Market, found: &mut Violations) {
        let Some(Entity::Instrument(instrument)) = self.current(&EntityKey::Instrument(market.instrument_id)) else {
            return;
        };
        match (instrument.terms.expiry(), market.expiry_time) {
            (Some(_), None) => found.add("expiry_time", "REQUIRED", "must be given for a dated contract"),
            (Some(date), Some(time)) if time.date() != date => {
                found.add(
                    "expiry_time",
                    "EXPIRY_MISMATCH",
                    format_args!("must be on {date}, the instrument's date of expiry"),
                );
            }
            (None, Some(_)) => {
                found.add("expiry_time", "NOT_DATED", "must not be given: the instrument does not expire");
            }
            _ => {}
        }
    }

    /// Judged on the state that the request leaves, so that two may exchange their keys.
    fn unique_keys(&self, key: &EntityKey, state: &StagedEntity, path: &str) -> Vec<Error> {
        let collision = |(field, unique): &(&str, UniqueKey)| {
            let has_it = |other: &&EntityKey| self.staged.has_unique_key(self.loaded, other, unique);
            let stored = self.loaded.owner(unique).filter(|other| *other != key).filter(has_it);
            let mut staged = self.staged.with_unique_key(unique).iter();
            let is_other = |other: &&EntityKey| *other != key && self.is_before(other, state) && has_it(other);
            let existing = stored.or_else(|| staged.find(is_other))?;
            let deleted = self.current(existing).is_some_and(Entity::is_deleted);
            Some(Error::AlreadyExists { field: format!("{path}.{field}"), existing: existing.clone(), deleted })
        };
        state.unique.iter().filter_map(collision).collect()
    }

    /// What another entity has, and may not while this one is there.
    fn excluded_keys(&self, key: &EntityKey, after: &Entity, path: &str) -> Vec<Error> {
        let collision = |(field, unique): (String, UniqueKey)| {
            let has_it = |other: &&EntityKey| *other != key && self.staged.has_unique_key(self.loaded, other, &unique);
            let mut staged = self.staged.with_unique_key(&unique).iter();
            let existing = self.loaded.owner(&unique).filter(has_it).or_else(|| staged.find(has_it))?;
            Some(Error::AlreadyExists { field: format!("{path}.{field}"), existing: existing.clone(), deleted: false })
        };
        after.excluded_keys().into_iter().filter_map(collision).collect()
    }

    /// Of two that collide in one request, the later is at fault.
    fn is_before(&self, other: &EntityKey, state: &StagedEntity) -> bool {
        self.staged.state(other).is_none_or(|other| other.mutation < state.mutation)
    }

    /// A symbol or alias means one market of its venue and segment at a time.
    fn symbols(&self, key: &EntityKey, market: &Market, state: &StagedEntity, path: &str) -> Option<Error> {
        market.symbols().enumerate().find_map(|(n, symbol)| {
            let staged = self.staged.markets(&market.venue_id, symbol).iter();
            let existing = staged
                .chain(self.loaded.markets(&market.venue_id, symbol))
                .find(|other| *other != key && self.is_before(other, state) && self.collides(other, market, symbol))?;
            let field = if n == 0 { format!("{path}.venue_symbol") } else { format!("{path}.aliases[{}]", n - 1) };
            Some(Error::AlreadyExists { field, existing: existing.clone(), deleted: false })
        })
    }

    fn collides(&self, other: &EntityKey, market: &Market, symbol: &str) -> bool {
        match self.current(other) {
            Some(Entity::Market(other)) => {
                other.venue_id == market.venue_id
                    && other.segment == market.segment
                    && other.symbols().any(|it| it == symbol)
                    && other.interval().overlaps(&market.interval())
            }
            _ => false,
        }
    }

    /// Nothing that stays refers to what is deleted.
    fn check_deleted(&self, key: &EntityKey, path: &str) -> Vec<Error> {
        let is_newly_deleted = self.loaded.entity(key).is_some_and(|before| !before.is_deleted());
        if !is_newly_deleted {
            return Vec::new();
        }
        let staged = self.referrers.get(key).into_iter().flatten().copied();
        // What the request leaves alone refers, as it was found; what it touches, as it becomes.
        let refers = |it: &&EntityKey| self.staged.state(it).is_none() || self.refers(it, key);
        let mut referrers: Vec<EntityKey> =
            self.loaded.referrers(key).iter().chain(staged).filter(refers).cloned().collect();
        referrers.sort();
        referrers.dedup();
        referrers.truncate(MAX_REFERRERS);
        if referrers.is_empty() {
            let is_kept = self.loaded.was_referred_to(key);
            return is_kept
                .then(|| Error::OnceReferenced { field: path.to_owned(), key: key.clone() })
                .into_iter()
                .collect();
        }
        vec![Error::StillReferenced { field: path.to_owned(), key: key.clone(), referrers }]
    }

    /// What is deleted for good may not be referred to by what is only marked as deleted either.
    fn refers(&self, referrer: &EntityKey, key: &EntityKey) -> bool {
        self.current(referrer).is_some_and(|it| {
            (!it.is_deleted() || !key.entity_type().has_soft_delete())
                && it.references().iter().any(|(_, target)| target == key)
        })
    }
}
