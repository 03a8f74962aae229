//! A venue's own code for an asset.

use crate::{
    entity::{Meta, changed_fields},
    id::{AssetId, VenueAssetId, VenueId},
    text::VENUE_CODE,
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
    pub(crate) fn check(&self, found: &mut Violations) {
        VENUE_CODE.check("code", &self.code, found);
    }
}

changed_fields!(VenueAsset: venue, asset, code);
