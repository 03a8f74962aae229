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
            venue_id: it.venue_id.to_string(),
            segment: it.segment.to_string(),
            code: it.code.clone(),
            asset_id: it.asset_id.to_string(),
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
        let venue_id = reader.reference("venue_id", &mut self.venue_id);
        let segment = reader.found.take("segment", self.segment.parse());
        let asset_id = reader.reference("asset_id", &mut self.asset_id);
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, None]);
        Some(VenueAsset {
            id: id?,
            venue_id: venue_id?,
            segment: segment?,
            code: self.code.clone(),
            asset_id: asset_id?,
            meta: meta?,
        })
    }
}

masked!(v1::VenueAsset: [asset_id], [venue_id, segment, code]);
