//! A venue's own code for an asset.

use std::time::Duration;

use crate::{
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{AssetId, EntityKey, EntityType, Segment, VenueAssetId, VenueId},
    text::VENUE_CODE,
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
    /// Revision and times.
    pub meta: Meta,
}

impl VenueAsset {
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
    }

    changed_fields!(venue_id, segment, code, asset_id);

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.venue_id)
    }

    fn unique_keys(&self) -> Vec<(&'static str, UniqueKey)> {
        vec![("code", Self::code_key(&self.venue_id, &self.segment, &self.code))]
    }

    references!(venue_id, asset_id);
}
