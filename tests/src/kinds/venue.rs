//! Venues.

use cqar_domain::entities::{
    Entity,
    chain::Chain,
    venue::{Venue, VenueType},
};
use cqar_proto::v1;
use cqar_store::{Filter, filters::VenueFilter};
use serde_json::json;

use super::{
    Examples, Many, Sample,
    case::{Case, case, create, delete, none},
    choices, kind,
};
use crate::{entities, fixtures};

kind! { Venue (venues, venue, venues, venue_id, venue_ids, "name") {
        create_venue CreateVenueRequest,
        get_venue |id, min_revision| v1::GetVenueRequest { venue_id: id, min_revision, at_revision: 0 },
        batch_get_venues BatchGetVenuesRequest batch_get_venues_response,
        update_venue UpdateVenueRequest,
        delete_venue DeleteVenueRequest,
        list_venues ListVenuesRequest hiding deleted,
    }
    sample |_| Sample::new(fixtures::venue("okx"), "OKX")
}

/// In the domain, with every optional field given somewhere.
pub fn examples(known: &Examples) -> Vec<Entity> {
    let [chain, layer] = known.first::<Chain, _>();
    let on_chain = Venue {
        chain_id: Some(chain.id),
        protocol_address: "abc".into(),
        network_chain_ids: [("LAYER".to_owned(), layer.id)].into(),
        ..entities::venue("dex")
    };
    vec![on_chain.into()]
}

/// In large numbers.
pub fn many(many: &Many) -> Vec<Entity> {
    use VenueType::{Bridge, Cex, Dex, DexAggregator, Lending, Otc};
    let (types, chains) = ([Cex, Dex, DexAggregator, Bridge, Lending, Otc], many.all::<Chain>());
    let venue = |n: usize| Venue {
        venue_type: types[n % types.len()],
        chain_id: Some(chains[n].id.clone()),
        network_chain_ids: [("A NETWORK".to_owned(), chains[n / 2].id.clone())].into(),
        ..entities::venue(&format!("v{n}"))
    };
    (0..many.rows).map(|n| venue(n).into()).collect()
}

/// Lists by every field, alone and with each other one.
pub fn filters() -> Vec<Filter> {
    choices(3, |has| {
        VenueFilter {
            venue_type: has(0).then_some(VenueType::Cex),
            show_deleted: has(1),
            chain_id: has(2).then(|| "c1".parse().unwrap()),
        }
        .into()
    })
}

/// A case for each method.
pub fn cases() -> Vec<Case> {
    let venue = || json!({"id": "venue-{n}", "name": "A venue", "type": "VENUE_TYPE_CEX"});
    let with_venue = || create("venue", &venue());
    vec![
        case("VenueService/CreateVenue", none(), json!({"venue": venue()})),
        case("VenueService/GetVenue", none(), json!({"venue_id": "kraken"})),
        case("VenueService/BatchGetVenues", none(), json!({"venue_ids": ["kraken"]})),
        case("VenueService/UpdateVenue", with_venue(), json!({"venue": {"id": "{0}", "is_active": false}})),
        case("VenueService/DeleteVenue", with_venue(), json!({"venue_id": "{0}"})),
        case("VenueService/UndeleteVenue", delete("venue", &venue(), "venue_id"), json!({"venue_id": "{0}"})),
        case("VenueService/ListVenues", none(), json!({})),
    ]
}
