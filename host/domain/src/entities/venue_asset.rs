//! A venue's own code for an asset, and the networks by which it moves there.

use std::{cmp::Ordering, time::Duration};

use crate::{
    decimal::Decimal,
    entity::{Meta, ReferenceField, TypedEntity, changed_fields, references},
    id::{AssetId, ChainId, DeploymentId, EntityKey, EntityType, Segment, VenueAssetId, VenueId},
    text::{CONTRACT, VENUE_CODE},
    time::Timestamp,
    unique_key::UniqueKey,
    violation::Violations,
};

/// The binding of a venue's code to an asset, unique by venue, segment and code: what an import of the venue's listing
/// trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAsset {
    /// Its id.
    pub id: VenueAssetId,
    /// The venue; immutable.
    pub venue_id: VenueId,
    /// The part of the venue in which it means this; the default for all of them, after which a narrower one goes.
    /// Immutable.
    pub segment: Segment,
    /// The code as the venue writes it; immutable.
    pub code: String,
    /// The asset that the code stands for.
    pub asset_id: AssetId,
    /// Whether the venue trades it.
    pub is_trading_enabled: bool,
    /// Since when the venue has it; none for since ever.
    pub listed_time: Option<Timestamp>,
    /// From when on the venue has it no more.
    pub delisted_time: Option<Timestamp>,
    /// By which networks it moves to and from the venue.
    pub networks: Vec<VenueAssetNetwork>,
    /// Revision and times.
    pub meta: Meta,
}

/// A network by which an asset moves to and from a venue, as the venue says it. What it does not say is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAssetNetwork {
    /// The venue's code for the network, unique within the venue asset.
    pub network: String,
    /// The chain, where it is another than the venue's code stands for, or that stands for none.
    pub chain_id: Option<ChainId>,
    /// What the asset is there.
    pub deployment_id: Option<DeploymentId>,
    /// The contract's address as the venue says it, or empty.
    pub contract_address: String,
    /// Whether it can be sent to the venue.
    pub is_deposit_enabled: Option<bool>,
    /// Whether it can be sent from the venue.
    pub is_withdraw_enabled: Option<bool>,
    /// In units of the asset.
    pub withdraw_fee: Option<Decimal>,
    /// In units of the asset.
    pub min_withdraw: Option<Decimal>,
    /// In units of the asset.
    pub min_deposit: Option<Decimal>,
    /// How many blocks the venue waits for.
    pub confirmations: Option<u32>,
    /// Whether a tag or memo must go with it.
    pub is_memo_required: Option<bool>,
}

/// The most networks of one venue asset.
pub const MAX_NETWORKS: usize = 64;

impl VenueAsset {
    /// A binding of which nothing more is known.
    pub fn new(id: VenueAssetId, venue_id: VenueId, segment: Segment, code: String, asset_id: AssetId) -> Self {
        Self {
            id,
            venue_id,
            segment,
            code,
            asset_id,
            is_trading_enabled: true,
            listed_time: None,
            delisted_time: None,
            networks: Vec::new(),
            meta: Meta::default(),
        }
    }

    /// The unique key of whatever binds the venue's code in that very segment.
    pub fn code_key(venue: &VenueId, segment: &Segment, code: &str) -> UniqueKey {
        UniqueKey::new("venue_asset.code", &[venue.as_str(), segment.as_str(), code])
    }
}

impl TypedEntity for VenueAsset {
    const TYPE: EntityType = EntityType::VenueAsset;
    const SOFT_DELETE: bool = false;
    const CACHE_TTL: Duration = Duration::from_mins(15);

    fn key(&self) -> EntityKey {
        EntityKey::VenueAsset(self.id)
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        VENUE_CODE.check("code", &self.code, found);
        if self.listed_time.zip(self.delisted_time).is_some_and(|(listed, delisted)| delisted <= listed) {
            found.add("delisted_time", "NOT_AFTER_LISTING", "must be after listed_time");
        }
        if self.networks.len() > MAX_NETWORKS {
            found.add("networks", "TOO_MANY", format_args!("must be at most {MAX_NETWORKS}"));
        }
        for (n, network) in self.networks.iter().take(MAX_NETWORKS).enumerate() {
            network.check(&format!("networks[{n}]"), found);
            if self.networks.iter().take(n).any(|other| other.network == network.network) {
                found.add(format!("networks[{n}].network"), "DUPLICATE", "is given twice");
            }
        }
    }

    changed_fields!(venue_id, segment, code, asset_id, is_trading_enabled, listed_time, delisted_time, networks,);

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.venue_id)
    }

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("code", Self::code_key(&self.venue_id, &self.segment, &self.code))]
    }

    references!(venue_id, asset_id, networks);
}

impl VenueAssetNetwork {
    fn check(&self, field: &str, found: &mut Violations) {
        VENUE_CODE.check(&format!("{field}.network"), &self.network, found);
        CONTRACT.check(&format!("{field}.contract_address"), &self.contract_address, found);
        let amounts = [
            ("withdraw_fee", &self.withdraw_fee),
            ("min_withdraw", &self.min_withdraw),
            ("min_deposit", &self.min_deposit),
        ];
        for (name, amount) in amounts {
            if amount.as_ref().is_some_and(|amount| amount.sign() == Ordering::Less) {
                found.add(format!("{field}.{name}"), "NEGATIVE", "must not be negative");
            }
        }
    }
}

impl ReferenceField for VenueAssetNetwork {
    fn visit(&self, visit: &mut dyn FnMut(EntityKey)) {
        self.chain_id.visit(visit);
        self.deployment_id.visit(visit);
    }

    fn replace(&mut self, replace: &dyn Fn(&EntityKey) -> Option<EntityKey>) {
        ReferenceField::replace(&mut self.chain_id, replace);
        ReferenceField::replace(&mut self.deployment_id, replace);
    }
}
