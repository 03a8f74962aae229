//! Venues: where assets trade.

use std::time::Duration;

use crate::{
    entity::{Meta, TypedEntity, changed_fields, references},
    id::{ChainId, EntityKey, EntityType, VenueId},
    text::{ADDRESS, NAME, TextBounds, WEB, check_url},
    violation::Violations,
};

/// An exchange, on a chain or off it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Venue {
    /// Its id.
    pub id: VenueId,
    /// The full name.
    pub name: String,
    /// What sort of venue it is.
    pub venue_type: VenueType,
    /// The chain of an on-chain venue.
    pub chain_id: Option<ChainId>,
    /// The contract's address, or empty.
    pub protocol_address: String,
    /// A URL, or empty.
    pub website_url: String,
    /// A URL, or empty.
    pub api_endpoint: String,
    /// ISO 10383 market identifier code, or empty.
    pub mic: String,
    /// The name of the symbology plugin, or empty.
    pub symbology: String,
    /// Whether it is in business.
    pub is_active: bool,
    /// Revision and times.
    pub meta: Meta,
}

/// The sorts of venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the contract's venue.proto says what each is")]
pub enum VenueType {
    Cex,
    Dex,
    DexAggregator,
    Bridge,
    Lending,
    Otc,
}

impl TypedEntity for Venue {
    const TYPE: EntityType = EntityType::Venue;
    const SOFT_DELETE: bool = true;
    const CACHE_TTL: Duration = Duration::from_hours(1);

    fn key(&self) -> EntityKey {
        EntityKey::Venue(self.id.clone())
    }

    fn meta(&self) -> &Meta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut Meta {
        &mut self.meta
    }

    fn check(&self, found: &mut Violations) {
        NAME.check("name", &self.name, found);
        ADDRESS.check("protocol_address", &self.protocol_address, found);
        if !self.protocol_address.is_empty() && self.chain_id.is_none() {
            found.add("chain_id", "REQUIRED", "must be given with protocol_address");
        }
        check_url("website_url", &self.website_url, WEB, found);
        check_url("api_endpoint", &self.api_endpoint, WEB, found);
        let is_mic = self.mic.len() == 4 && self.mic.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if !self.mic.is_empty() && !is_mic {
            found.add("mic", "INVALID_MIC", "must be an ISO 10383 code: four capital letters or digits");
        }
        TextBounds { min: 0, max: 64 }.check("symbology", &self.symbology, found);
    }

    changed_fields!(
        name, venue_type as "type", chain_id, protocol_address, website_url, api_endpoint, mic, symbology, is_active,
    );

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.id)
    }

    references!(chain_id);
}
