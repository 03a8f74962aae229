//! A venue's own code for an asset.

use std::time::Duration;

use crate::{
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{AssetId, EntityKey, EntityType, VenueAssetId, VenueId},
    text::VENUE_CODE,
    unique_key::UniqueKey,
    violation::Violations,
};

/// The binding of a venue's code to an asset, unique by venue and code: what an import of the venue's listing trusts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAsset {
    /// Its id.
    pub id: VenueAssetId,
    /// The venue; immutable.
    pub venue: VenueId,
    /// The asset that the code stands for.
    pub asset: AssetId,
    /// The code as the venue writes it; immutable.
    pub code: String,
    /// Revision and times.
    pub meta: Meta,
}

impl VenueAsset {
    /// The unique key of whatever binds the venue's code.
    pub fn code_key(venue: &VenueId, code: &str) -> UniqueKey {
        UniqueKey::new("venue_asset.code", &[venue.as_str(), code])
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
    }

    changed_fields!(venue, asset, code);

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.venue)
    }

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("code", Self::code_key(&self.venue, &self.code))]
    }

    references!(venue, asset);
}
