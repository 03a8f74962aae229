//! Venues' codes for assets.

use cqar_domain::{entities::venue_asset::VenueAsset, id::VenueAssetId};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, mask::masked},
    v1,
};

impl From<&VenueAsset> for v1::VenueAsset {
    fn from(it: &VenueAsset) -> Self {
        Self {
            id: it.id.to_string(),
            venue: it.venue.to_string(),
            asset: it.asset.to_string(),
            code: it.code.clone(),
            revision: it.meta.revision,
            etag: etag(&it.meta),
            create_time: it.meta.create_time.map(Into::into),
            update_time: it.meta.update_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::VenueAsset {
    type Entity = VenueAsset;

    arm!(VenueAsset);

    fn label(&self) -> &str {
        &self.code
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<VenueAsset> {
        let id = reader.id(&self.id, VenueAssetId::new);
        let venue = reader.reference("venue", &mut self.venue);
        let asset = reader.reference("asset", &mut self.asset);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(VenueAsset { id: id?, venue: venue?, asset: asset?, code: self.code.clone(), meta: meta? })
    }
}

masked!(v1::VenueAsset: [asset], [venue, code]);
