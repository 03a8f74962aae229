//! Values in Redis: single entities and look-up keys, shared by replicas and kept over restarts.
//!
//! **Why no value is older than a reader needs.** Redis holds, with the values, the revision through which it has seen
//! the log: its watermark. Values and watermark are read at once, so that every value comes with the range of revisions
//! at which it is known to hold, and counts only if that reaches the revision that the reader needs. The module `connection`
//! says why the range is right, whatever slow readers, replicas, crashes and flushes do.
//!
//! Redis is a help and never a condition: every failure is a miss. It is asked only over a connection that was seen to
//! work and over which the log has been applied to its end. The first call that fails or takes too long takes that
//! connection away from all readers, so that an outage costs those the timeout who were waiting just then, and nobody
//! after. The task that follows the log then connects anew, applies the log, and hands the connection out again.

mod connection;
mod follower;
mod settings;
mod versioned;

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use cqar_domain::{causes::ToldCauses, entity::Revision, event::EventLog};
use parking_lot::{Mutex, RwLock};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    connection::RedisConnection,
    follower::{FollowError, Follower},
};
pub use self::{
    settings::{L2Settings, L2Tls},
    versioned::{Versioned, common_revision},
};
use crate::{key::Key, metrics::L2Metrics};

/// The pause before connecting again, and the longest one: it doubles each time. Short against an outage; long against a
/// reader's timeout, which the readers that wait just then pay each time that a slow Redis is tried again.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);
const RECONNECT_AFTER_AT_MOST: Duration = Duration::from_secs(15);
/// After so long it serves in earnest: what went wrong before is over.
const STEADY_AFTER: Duration = Duration::from_mins(1);
/// How often Redis is looked at while nothing is written: it may have been flushed, or the write been another's.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(5);
/// The reader's timeout is for so many keys, and as much again for as many more, up to five times.
const KEYS_PER_TIMEOUT: usize = 500;
/// Room for values that wait to be stored. When it is full, values are dropped: they are loaded again some time.
const WAITING_BYTES: usize = 16 * 1024 * 1024;
/// What a waiting value takes beside its bytes.
const WAITING_OVERHEAD_BYTES: usize = 256;
/// Values stored in one exchange, with which Redis is busy for below 1 ms.
const PUT_VALUES: usize = 128;

/// The cache in Redis.
pub struct L2 {
    settings: L2Settings,
    metrics: L2Metrics,
    /// The connection that readers and writers of values may use.
    connection: RwLock<Option<Arc<RedisConnection>>>,
    /// Wakes the follower: something is wrong with Redis.
    recheck: Notify,
    health: watch::Sender<L2Health>,
    /// Why the last connection was taken away from its readers.
    withdrawn: Mutex<Option<String>>,
    waiting: mpsc::UnboundedSender<PendingPut>,
    /// Bounds what waits, by its bytes.
    waiting_room: Arc<Semaphore>,
}

/// How Redis is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum L2Health {
    /// It serves, and has seen the log through this revision.
    Serving {
        /// That revision.
        watermark: Revision,
    },
    /// It is not asked.
    Away {
        /// Why.
        reason: String,
    },
}

/// A connection's time.
struct Serving {
    /// When it began to serve; none if it did not.
    since: Option<Instant>,
    /// Whether that is told.
    tells: bool,
}

struct PendingPut {
    key: Key,
    bytes: Bytes,
    revision: Revision,
    _room: OwnedSemaphorePermit,
}

impl L2 {
    /// Starts following the log, whose applied revision is `applied`. Never fails: while Redis is away everything is a
    /// miss.
    pub fn start(
        settings: L2Settings,
        log: Arc<dyn EventLog>,
        applied: watch::Receiver<Revision>,
        metrics: L2Metrics,
        tracker: &TaskTracker,
        token: &CancellationToken,
    ) -> Arc<Self> {
        let (waiting, queue) = mpsc::unbounded_channel();
        let l2 = Arc::new(Self {
            settings,
            metrics,
            connection: RwLock::new(None),
            recheck: Notify::new(),
            health: watch::Sender::new(L2Health::Away { reason: "not connected yet".to_owned() }),
            withdrawn: Mutex::new(None),
            waiting,
            waiting_room: Arc::new(Semaphore::new(WAITING_BYTES)),
        });
        tracker.spawn(token.clone().run_until_cancelled_owned(Arc::clone(&l2).follow(log, applied)));
        tracker.spawn(token.clone().run_until_cancelled_owned(Arc::clone(&l2).store(queue)));
        l2
    }

    /// The values of the keys, in order, that are known to hold at revision `needs` or later. One round trip.
    pub async fn get(&self, keys: &[Key], needs: Revision) -> Vec<Option<Versioned>> {
        let asked = if keys.is_empty() { None } else { self.fetch(keys).await };
        let Some(mut values) = asked else {
            self.metrics.not_asked.inc_by(keys.len() as u64);
            return vec![None; keys.len()];
        };
        for value in &mut values {
            let counts = value.as_ref().is_some_and(|it| it.valid_through >= needs);
            let counter = if counts { &self.metrics.hits } else { &self.metrics.misses };
            counter.inc();
            value.take_if(|_| !counts);
        }
        values
    }

    /// Stores values that were read at that revision, when there is time. An empty one says that there is nothing.
    pub fn put(&self, values: Vec<(Key, Bytes)>, revision: Revision) {
        for (key, bytes) in values {
            let room = u32::try_from(bytes.len() + WAITING_OVERHEAD_BYTES)
                .ok()
                .filter(|_| self.connection.read().is_some())
                .and_then(|room| Arc::clone(&self.waiting_room).try_acquire_many_owned(room).ok());
            let sent = room.map(|room| self.waiting.send(PendingPut { key, bytes, revision, _room: room }));
            if !matches!(sent, Some(Ok(()))) {
                self.metrics.dropped.inc();
            }
        }
    }

    /// The current health of the connection to Redis.
    pub fn health(&self) -> L2Health {
        self.health.borrow().clone()
    }

    /// How Redis is, and each change of that.
    pub fn watch_health(&self) -> watch::Receiver<L2Health> {
        self.health.subscribe()
    }

    async fn fetch(&self, keys: &[Key]) -> Option<Vec<Option<Versioned>>> {
        let connection = self.connection.read().clone()?;
        let times = keys.len().div_ceil(KEYS_PER_TIMEOUT).min(5);
        let patience = self.settings.timeout * u32::try_from(times).unwrap_or(1);
        match timeout(patience, connection.get(keys)).await {
            Ok(Ok(Some(values))) => return Some(values),
            Ok(Ok(None)) => self.recheck.notify_one(),
            Ok(Err(error)) => self.disconnect(&connection, &error),
            Err(elapsed) => self.disconnect(&connection, &elapsed),
        }
        None
    }

    /// Stores what waits.
    async fn store(self: Arc<Self>, mut queue: mpsc::UnboundedReceiver<PendingPut>) {
        let mut batch = Vec::with_capacity(PUT_VALUES);
        while queue.recv_many(&mut batch, PUT_VALUES).await > 0 {
            let connection = self.connection.read().clone();
            let stored = match &connection {
                Some(connection) => connection.put(batch.iter().map(|it| (&it.key, &it.bytes, it.revision))).await,
                None => Ok(false),
            };
            match (stored, &connection) {
                (Ok(true), _) => {}
                (Err(error), Some(connection)) => self.disconnect(connection, &error),
                (Ok(false) | Err(_), _) => {
                    self.recheck.notify_one();
                    self.metrics.dropped.inc_by(batch.len() as u64);
                }
            }
            batch.clear();
        }
    }

    /// Takes a connection away that failed, unless it was replaced meanwhile.
    fn disconnect(&self, connection: &Arc<RedisConnection>, reason: &dyn fmt::Display) {
        self.metrics.failures.inc();
        let mut current = self.connection.write();
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            // The reason first: who finds the connection gone asks for it.
            *self.withdrawn.lock() = Some(reason.to_string());
            *current = None;
            self.recheck.notify_one();
        }
    }

    /// Keeps a connection over which the log is applied.
    async fn follow(self: Arc<Self>, log: Arc<dyn EventLog>, mut applied: watch::Receiver<Revision>) {
        let (mut told, mut pause) = (ToldCauses::default(), RECONNECT_AFTER);
        // That it serves is told where it was told that it does not, and at first.
        let mut tells = true;
        // Whether the log's last word is that it serves, and since when it does not.
        let (mut log_says_serving, mut away_since) = (false, None);
        loop {
            let mut serving = Serving { since: None, tells };
            let Err(error) = self.follow_once(log.as_ref(), &mut applied, &mut serving).await;
            *self.connection.write() = None;
            self.metrics.serving.set(0);
            if serving.since.is_some_and(|since| since.elapsed() >= STEADY_AFTER) {
                told.clear();
                pause = RECONNECT_AFTER;
            }
            if serving.since.is_some() {
                (log_says_serving, away_since) = (log_says_serving || serving.tells, None);
            }
            let away_since: Instant = *away_since.get_or_insert_with(Instant::now);
            let reason = error.to_string();
            // Each cause once, until it has served for a while: one that serves now and then is tried without end. But the log's last
            // word is true, sooner or later.
            tells = told.is_news(&reason) || (log_says_serving && away_since.elapsed() >= STEADY_AFTER);
            if tells {
                log_says_serving = false;
                tracing::warn!(reason, "redis_away");
            }
            tells |= serving.since.is_none() && serving.tells;
            self.health.send_replace(L2Health::Away { reason });
            sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_AFTER_AT_MOST);
        }
    }

    async fn follow_once(
        &self,
        log: &dyn EventLog,
        applied: &mut watch::Receiver<Revision>,
        serving: &mut Serving,
    ) -> Result<Infallible, FollowError> {
        let bounds = log.bounds().await?;
        let connection = Arc::new(RedisConnection::open(&self.settings, bounds.log_id).await?);
        let mut follower = Follower::begin(&connection, log, bounds).await?;
        let mut watermark = follower.catch_up().await?;
        self.prove(&connection, watermark).await?;
        *self.withdrawn.lock() = None;
        *self.connection.write() = Some(Arc::clone(&connection));
        serving.since = Some(Instant::now());
        self.metrics.serving.set(1);
        if serving.tells {
            tracing::info!(watermark, "redis_serving");
        }
        loop {
            self.metrics.watermark.set(watermark);
            self.health.send_replace(L2Health::Serving { watermark });
            tokio::select! {
                Ok(()) = applied.changed() => {}
                () = self.recheck.notified() => {}
                () = sleep(LOOK_AGAIN_AFTER) => {}
            }
            if !self.connection.read().as_ref().is_some_and(|current| Arc::ptr_eq(current, &connection)) {
                return Err(FollowError::Withdrawn(self.withdrawn.lock().take().unwrap_or_default()));
            }
            watermark = follower.catch_up().await?;
        }
    }

    /// Stores a value and reads it, as readers will: until that has worked, nobody is told that it does.
    async fn prove(&self, connection: &RedisConnection, watermark: Revision) -> Result<(), FollowError> {
        // No instrument has an empty code, so that what is stored is true.
        let (key, nothing) = (Key::Code(String::new()), Bytes::new());
        if !connection.put([(&key, &nothing, watermark)]).await? {
            return Err(FollowError::TombstonesLost);
        }
        let limit = self.settings.timeout;
        match timeout(limit, connection.get(&[key])).await {
            Ok(read) => {
                let is_read = read?.is_some_and(|values| values.iter().all(Option::is_some));
                if is_read { Ok(()) } else { Err(FollowError::TombstonesLost) }
            }
            Err(_) => Err(FollowError::Slow(limit)),
        }
    }
}
