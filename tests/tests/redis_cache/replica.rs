//! A registry of venues with a real store, and the caches of its replicas.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use cqar_cache::{Key, L2, L2Health, L2Settings, Versioned, metrics::CacheMetrics};
use cqar_domain::{
    entities::{Entity, venue::Venue},
    entity::Revision,
    event::EventLog,
    id::EntityKey,
    time::{Clock, SystemClock},
};
use cqar_store::{Change, Store, StoreSettings, WriteAttribution};
use cqar_tests::redis_server::RedisServer;
use tempfile::TempDir;
use tokio::{sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Longer than anything here takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A registry of venues: a store, what its replica has applied, and what was true when.
pub struct Registry {
    pub store: Arc<Store>,
    applied: watch::Sender<Revision>,
    venues: Mutex<BTreeMap<String, Vec<Venue>>>,
    _folder: TempDir,
}

impl Registry {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let settings = StoreSettings::new(format!("sqlite://{}/cqar.db", folder.path().display()));
        let store = Store::open(&settings, Arc::new(SystemClock), &prometheus::Registry::new()).await.unwrap();
        store.migrate_up().await.unwrap();
        Self { store: Arc::new(store), applied: watch::Sender::new(0), venues: Mutex::default(), _folder: folder }
    }

    /// Creates or changes the venues.
    pub async fn commit(&self, names: &[&str]) -> Revision {
        let changes = names.iter().map(|name| self.change(name)).collect();
        let attribution = WriteAttribution { actor: "tester".into(), request_id: None, time: SystemClock.now() };
        let mut write = self.store.begin_write().await.unwrap();
        let written = write.write(changes, &attribution).await.unwrap();
        let revision = write.commit().await.unwrap().revision;
        for change in written {
            let Some(Entity::Venue(venue)) = change.after else { unreachable!("only venues are written") };
            self.venues.lock().unwrap().entry(venue.id.to_string()).or_default().push(Arc::unwrap_or_clone(venue));
        }
        revision
    }

    fn change(&self, name: &str) -> Change {
        let before = self.venues.lock().unwrap().get(name).and_then(|states| states.last().cloned());
        let created = Venue { name: String::new(), ..cqar_tests::entities::venue(name) };
        let mut after = before.clone().unwrap_or(created);
        after.name.push('I');
        Change {
            before: before.map(Entity::from),
            after: Some(after.into()),
            reason: String::new(),
            effective_time: None,
            judged_by: Vec::new(),
            warnings: Vec::new(),
        }
    }

    pub async fn newest(&self) -> Revision {
        self.store.bounds().await.unwrap().newest
    }

    /// What a read of the venue at that revision finds; nothing if it was not there yet.
    pub fn at(&self, name: &str, revision: Revision) -> Bytes {
        let venues = self.venues.lock().unwrap();
        let mut states = venues.get(name).into_iter().flatten();
        let state = states.rfind(|venue| venue.meta.revision <= revision);
        state.map(|venue| venue.name.clone().into()).unwrap_or_default()
    }

    /// Tells the replica that everything committed is applied.
    pub async fn apply(&self) -> Revision {
        let newest = self.newest().await;
        self.applied.send_replace(newest);
        newest
    }

    /// A replica's cache.
    pub fn cache(&self, redis: &RedisServer) -> Cache {
        // A test's machine may be busy; the one test that is about time sets its own.
        let timeout = Duration::from_secs(2);
        self.cache_with(L2Settings { timeout, ..L2Settings::at("127.0.0.1", redis.port()) })
    }

    pub fn cache_with(&self, settings: L2Settings) -> Cache {
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let metrics = CacheMetrics::new(&prometheus::Registry::new()).unwrap().l2();
        let log = Arc::clone(&self.store) as Arc<dyn EventLog>;
        let l2 = L2::start(settings, log, self.applied.subscribe(), metrics, &tracker, &token);
        Cache { l2, tracker, token, marks: AtomicU32::new(0) }
    }
}

/// A running L2.
pub struct Cache {
    pub l2: Arc<L2>,
    tracker: TaskTracker,
    token: CancellationToken,
    marks: AtomicU32,
}

impl Cache {
    /// Waits until it serves and has seen the log through that revision.
    pub async fn serves_at(&self, revision: Revision) {
        let serving = |health: &L2Health| matches!(health, L2Health::Serving { watermark } if *watermark >= revision);
        timeout(DEADLINE, self.l2.watch_health().wait_for(serving)).await.expect("Redis serves in time").unwrap();
    }

    pub async fn goes_away(&self) {
        let away = |health: &L2Health| matches!(health, L2Health::Away { .. });
        timeout(DEADLINE, self.l2.watch_health().wait_for(away)).await.expect("Redis is missed in time").unwrap();
    }

    pub async fn get(&self, name: &str, needs: Revision) -> Option<Versioned> {
        self.l2.get(&[venue(name)], needs).await.remove(0)
    }

    /// Puts what a read found, and waits until it was stored or refused: values are stored in their order.
    pub async fn put(&self, name: &str, found: Bytes, revision: Revision, newest: Revision) {
        self.l2.put(vec![(venue(name), found)], revision);
        let mark = Key::Symbol("mark".parse().unwrap(), self.marks.fetch_add(1, Ordering::Relaxed).to_string());
        self.l2.put(vec![(mark.clone(), Bytes::new())], newest);
        let deadline = Instant::now() + DEADLINE;
        while self.l2.get(std::slice::from_ref(&mark), 0).await[0].is_none() {
            assert!(Instant::now() < deadline, "a value is stored in time");
        }
    }

    /// Ends it as the end of its process would.
    pub async fn stop(&self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

/// The key of a venue.
pub fn venue(name: &str) -> Key {
    Key::Entity(EntityKey::Venue(name.parse().unwrap()))
}
