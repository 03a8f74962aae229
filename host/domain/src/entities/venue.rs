//! Venues: where assets trade.

use std::collections::BTreeMap;

use crate::{
    entity::{Meta, TypedEntity, changed_fields, references},
    external_id::is_mic,
    id::{ChainId, EntityKey, EntityType, VenueId},
    text::{ADDRESS, NAME, TextBounds, VENUE_CODE, WEB, check_url},
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
    /// The chain that each of the venue's codes for a network stands for.
    pub network_chain_ids: BTreeMap<String, ChainId>,
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

/// The most codes for networks of one venue: the largest exchanges know a hundred.
pub const MAX_NETWORK_CODES: usize = 512;

impl TypedEntity for Venue {
    const TYPE: EntityType = EntityType::Venue;
    const SOFT_DELETE: bool = true;

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
        if !self.mic.is_empty() && !is_mic(&self.mic) {
            found.add("mic", "INVALID_MIC", "must be an ISO 10383 code: four capital letters or digits");
        }
        TextBounds { min: 0, max: 64 }.check("symbology", &self.symbology, found);
        if self.network_chain_ids.len() > MAX_NETWORK_CODES {
            found.add("network_chain_ids", "TOO_MANY", format_args!("must be at most {MAX_NETWORK_CODES}"));
        }
        for code in self.network_chain_ids.keys().take(MAX_NETWORK_CODES) {
            VENUE_CODE.check("network_chain_ids", code, found);
        }
    }

    changed_fields!(
        name, venue_type as "type", chain_id, protocol_address, website_url, api_endpoint, mic, symbology, is_active,
        network_chain_ids,
    );

    fn venue(&self) -> Option<&VenueId> {
        Some(&self.id)
    }

    references!(chain_id, network_chain_ids);
}
