//! Venues and their codes for assets.

use cqar_domain::{
    entity::Meta,
    id::VenueAssetId,
    venue::{Venue, VenueType},
    venue_asset::VenueAsset,
};

use super::{Reader, etag, id_text, same_variants};
use crate::v1;

same_variants!(v1::VenueType, VenueType: Cex, Dex, DexAggregator, Bridge, Lending, Otc);

impl From<&Venue> for v1::Venue {
    fn from(venue: &Venue) -> Self {
        Self {
            id: venue.id.to_string(),
            name: venue.name.clone(),
            r#type: v1::VenueType::from(venue.venue_type).into(),
            chain: id_text(venue.chain.as_ref()),
            protocol_address: venue.protocol_address.clone(),
            website_url: venue.website_url.clone(),
            api_endpoint: venue.api_endpoint.clone(),
            mic: venue.mic.clone(),
            symbology: venue.symbology.clone(),
            is_active: venue.is_active,
            revision: venue.meta.revision,
            etag: etag(&venue.meta),
            create_time: venue.meta.create_time.map(Into::into),
            update_time: venue.meta.update_time.map(Into::into),
            delete_time: venue.meta.delete_time.map(Into::into),
        }
    }
}

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

impl Reader<'_> {
    /// Reads a venue. Output-only fields are left out.
    pub fn venue(&mut self, message: v1::Venue) -> Option<Venue> {
        let id = self.required("id", &message.id);
        let venue_type = self.enumeration::<v1::VenueType, _>("type", message.r#type);
        let chain = self.optional("chain", &message.chain);
        Some(Venue {
            id: id?,
            name: message.name,
            venue_type: venue_type?,
            chain: chain?,
            protocol_address: message.protocol_address,
            website_url: message.website_url,
            api_endpoint: message.api_endpoint,
            mic: message.mic,
            symbology: message.symbology,
            is_active: message.is_active,
            meta: Meta::default(),
        })
    }

    /// Reads a venue's code for an asset. Output-only fields are left out.
    pub fn venue_asset(&mut self, message: v1::VenueAsset) -> Option<VenueAsset> {
        let id = self.id(&message.id, VenueAssetId::new);
        let venue = self.required("venue", &message.venue);
        let asset = self.required("asset", &message.asset);
        Some(VenueAsset { id: id?, venue: venue?, asset: asset?, code: message.code, meta: Meta::default() })
    }
}
