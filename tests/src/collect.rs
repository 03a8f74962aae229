//! What a client collects of a server: its log, and a copy of all that it holds.

use std::{
    collections::BTreeMap,
    future::Future,
    time::{Duration, Instant},
};

use cqar_proto::v1::{
    self, Entity, Event, GetStatusRequest, GetStatusResponse, WatchRequest, WatchResponse, watch_response::Step,
};
use tonic::{Streaming, metadata::MetadataMap};

use crate::{
    all_kinds,
    fixtures::Clients,
    kinds::{Answered, Kind},
    server::Server,
};

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
    let entity = entity.entity.as_ref().unwrap();
    format!("{}/{}", entity.entity_type(), entity.id())
}

/// The revision of an entity's last change.
pub fn revision(entity: &Entity) -> i64 {
    entity.entity.as_ref().unwrap().revision()
}

/// A copy of all that a server holds.
#[derive(Debug, Default)]
pub struct ClientCopy {
    /// The entities by type and id, soft-deleted ones too.
    pub entities: BTreeMap<String, Entity>,
    /// What the first page reflected: the log goes on after it.
    pub revision: i64,
}

impl ClientCopy {
    /// Lists everything in pages of so many, and does something between two pages.
    pub async fn list<F: Future<Output = ()>>(server: &Server, page_size: i32, mut between: impl FnMut() -> F) -> Self {
        let (mut copy, mut clients) = (Self::default(), Clients::of(server).await);
        macro_rules! list {
            (() $($module:ident $kind:ident,)+) => {
                $(copy.add::<v1::$kind, F>(&mut clients, page_size, &mut between).await;)+
            };
        }
        all_kinds!(list!());
        copy
    }

    async fn add<K: Kind, F: Future<Output = ()>>(
        &mut self,
        clients: &mut Clients,
        page_size: i32,
        between: &mut impl FnMut() -> F,
    ) {
        let mut token = String::new();
        loop {
            let Answered { revision, value } = K::list_with(clients, page_size, &token, true).await.unwrap();
            if self.revision == 0 {
                self.revision = revision;
            }
            for entity in value.0 {
                let entity = entity.wrap();
                assert!(self.entities.insert(key(&entity), entity).is_none(), "listed twice");
            }
            token = value.1;
            if token.is_empty() {
                break;
            }
            between().await;
        }
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
