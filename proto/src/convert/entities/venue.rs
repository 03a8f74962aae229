//! Venues.

use cqar_domain::entities::venue::{Venue, VenueType};

use super::{EntityMessage, arm};
use crate::{
    convert::{Reader, etag, id_text, mask::masked, same_variants},
    v1,
};

same_variants!(v1::VenueType, VenueType: Cex, Dex, DexAggregator, Bridge, Lending, Otc);

impl From<&Venue> for v1::Venue {
    fn from(venue: &Venue) -> Self {
        Self {
            id: venue.id.to_string(),
            name: venue.name.clone(),
            r#type: v1::VenueType::from(venue.venue_type).into(),
            chain_id: id_text(venue.chain_id.as_ref()),
            protocol_address: venue.protocol_address.clone(),
            website_url: venue.website_url.clone(),
            api_endpoint: venue.api_endpoint.clone(),
            mic: venue.mic.clone(),
            symbology: venue.symbology.clone(),
            is_active: Some(venue.is_active),
            network_chain_ids: venue
                .network_chain_ids
                .iter()
                .map(|(code, id)| (code.clone(), id.to_string()))
                .collect(),
            revision: venue.meta.revision,
            etag: etag(&venue.meta),
            create_time: venue.meta.create_time.map(Into::into),
            update_time: venue.meta.update_time.map(Into::into),
            delete_time: venue.meta.delete_time.map(Into::into),
        }
    }
}

impl EntityMessage for v1::Venue {
    type Entity = Venue;

    const SAMPLE: &'static str = r#"{"id": "sample", "name": "Sample", "type": "VENUE_TYPE_CEX"}"#;

    arm!(Venue);

    fn label(&self) -> &str {
        &self.name
    }

    fn read(&mut self, reader: &mut Reader<'_>) -> Option<Venue> {
        let id = reader.required("id", &self.id);
        let venue_type = reader.enumeration::<v1::VenueType, _>("type", self.r#type);
        let chain_id = reader.optional_reference("chain_id", &mut self.chain_id);
        let networks = self.network_chain_ids.iter_mut();
        let network_chain_ids =
            reader.all(networks, |reader, (code, id)| Some((code.clone(), reader.reference("network_chain_ids", id)?)));
        let meta = reader.meta(self.revision, [self.create_time, self.update_time, self.delete_time]);
        Some(Venue {
            id: id?,
            name: self.name.clone(),
            venue_type: venue_type?,
            chain_id: chain_id?,
            protocol_address: self.protocol_address.clone(),
            website_url: self.website_url.clone(),
            api_endpoint: self.api_endpoint.clone(),
            mic: self.mic.clone(),
            symbology: self.symbology.clone(),
            is_active: self.is_active.unwrap_or(true),
            network_chain_ids: network_chain_ids?,
            meta: meta?,
        })
    }
}

masked!(v1::Venue: [name, r#type as "type", chain_id, protocol_address, website_url, api_endpoint, mic, symbology,
    is_active, network_chain_ids
    ], []);
