//! What a client collects of a server: its log, and a copy of all that it holds.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use cqar_proto::v1::{
    Entity, Event, GetStatusRequest, GetStatusResponse, ListAssetsRequest, ListChainsRequest, ListInstrumentsRequest,
    ListMarketsRequest, ListVenueAssetsRequest, ListVenuesRequest, WatchRequest, WatchResponse,
    asset_service_client::AssetServiceClient, chain_service_client::ChainServiceClient, entity::Entity as Kind,
    instrument_service_client::InstrumentServiceClient, venue_service_client::VenueServiceClient, watch_response::Step,
};
use tonic::{Streaming, metadata::MetadataMap};

use crate::server::Server;

/// Longer than anything takes on a machine that builds something else meanwhile.
pub const DEADLINE: Duration = Duration::from_mins(2);

/// Waits for a condition.
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut condition: impl FnMut() -> F) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = condition().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// How the server does.
pub async fn status(server: &Server) -> GetStatusResponse {
    server.registry().await.get_status(GetStatusRequest {}).await.unwrap().into_inner()
}

/// Starts a watch.
pub async fn watch(server: &Server, request: WatchRequest) -> Streaming<WatchResponse> {
    server.events().await.watch(request).await.unwrap().into_inner()
}

/// The events up to a mark of progress of at least this revision.
pub async fn events_through(steps: &mut Streaming<WatchResponse>, revision: i64) -> Vec<Event> {
    let mut events = Vec::new();
    let collecting = async {
        loop {
            match steps.message().await.unwrap().unwrap().step.unwrap() {
                Step::Event(event) => events.push(event),
                Step::Progress(progress) if progress >= revision => break,
                Step::Progress(_) => {}
            }
        }
    };
    assert!(tokio::time::timeout(DEADLINE, collecting).await.is_ok(), "no mark of progress {revision}");
    events
}

/// The whole log as it is now.
pub async fn log(server: &Server) -> Vec<Event> {
    let mut steps = watch(server, WatchRequest { start_revision: Some(0), ..Default::default() }).await;
    events_through(&mut steps, status(server).await.revision).await
}

/// A log has every revision from 1 on, and within a revision every index from 0 on, once.
pub fn assert_whole(log: &[Event]) {
    let mut expected = (1, 0);
    for event in log {
        let place = (event.revision, event.index);
        if place != expected {
            assert_eq!(place, (expected.0 + 1, 0), "after {}.{}", expected.0, expected.1 - 1);
        }
        expected = (place.0, place.1 + 1);
    }
}

/// The revision that an answer reflects.
pub fn revision_of(metadata: &MetadataMap) -> i64 {
    metadata.get("x-cqar-revision").expect("x-cqar-revision").to_str().unwrap().parse().unwrap()
}

/// An entity's type and id.
pub fn key(entity: &Entity) -> String {
    match entity.entity.as_ref().unwrap() {
        Kind::Asset(it) => format!("asset/{}", it.id),
        Kind::Chain(it) => format!("chain/{}", it.id),
        Kind::Venue(it) => format!("venue/{}", it.id),
        Kind::VenueAsset(it) => format!("venue_asset/{}", it.id),
        Kind::Instrument(it) => format!("instrument/{}", it.id),
        Kind::Market(it) => format!("market/{}", it.id),
    }
}

/// The revision of an entity's last change.
pub fn revision(entity: &Entity) -> i64 {
    match entity.entity.as_ref().unwrap() {
        Kind::Asset(it) => it.revision,
        Kind::Chain(it) => it.revision,
        Kind::Venue(it) => it.revision,
        Kind::VenueAsset(it) => it.revision,
        Kind::Instrument(it) => it.revision,
        Kind::Market(it) => it.revision,
    }
}

/// A copy of all that a server holds.
#[derive(Debug, Default)]
pub struct Replica {
    /// The entities by type and id, soft-deleted ones too.
    pub entities: BTreeMap<String, Entity>,
    /// What the first page reflected: the log goes on after it.
    pub revision: i64,
}

/// Lists all pages of a kind of entity.
macro_rules! list {
    ($replica:ident, $between:ident, $client:expr, $method:ident, $request:expr, $items:ident, $kind:ident) => {{
        let (mut client, mut request) = ($client, $request);
        loop {
            let (metadata, page, _) = client.$method(request.clone()).await.unwrap().into_parts();
            if $replica.revision == 0 {
                $replica.revision = revision_of(&metadata);
            }
            for entity in page.$items {
                let entity = Entity { entity: Some(Kind::$kind(entity)) };
                assert!($replica.entities.insert(key(&entity), entity).is_none(), "listed twice");
            }
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
            $between().await;
        }
    }};
}

impl Replica {
    /// Lists everything in pages of so many, and does something between two pages.
    pub async fn list<F: Future<Output = ()>>(server: &Server, page_size: i32, mut between: impl FnMut() -> F) -> Self {
        let mut replica = Self::default();
        let channel = server.channel().await;
        let assets = AssetServiceClient::new(channel.clone());
        let request = ListAssetsRequest { page_size, show_deleted: true, ..Default::default() };
        list!(replica, between, assets, list_assets, request, assets, Asset);
        let request = ListChainsRequest { page_size, ..Default::default() };
        list!(replica, between, ChainServiceClient::new(channel.clone()), list_chains, request, chains, Chain);
        let venues = VenueServiceClient::new(channel.clone());
        let request = ListVenuesRequest { page_size, show_deleted: true, ..Default::default() };
        list!(replica, between, venues.clone(), list_venues, request, venues, Venue);
        let request = ListVenueAssetsRequest { page_size, ..Default::default() };
        list!(replica, between, venues, list_venue_assets, request, venue_assets, VenueAsset);
        let instruments = InstrumentServiceClient::new(channel);
        let request = ListInstrumentsRequest { page_size, show_deleted: true, ..Default::default() };
        list!(replica, between, instruments, list_instruments, request, instruments, Instrument);
        let request = ListMarketsRequest { page_size, ..Default::default() };
        list!(replica, between, server.markets().await, list_markets, request, markets, Market);
        replica
    }

    /// Applies an event, unless it is older than what is there.
    pub fn apply(&mut self, event: Event) {
        let key = format!("{}/{}", event.entity_type, event.entity_id);
        if self.entities.get(&key).is_some_and(|held| revision(held) >= event.revision) {
            return;
        }
        match event.after {
            Some(after) => self.entities.insert(key, after),
            None => self.entities.remove(&key),
        };
    }
}
