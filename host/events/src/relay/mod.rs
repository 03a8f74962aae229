//! The relay from the log to JetStream.
//!
//! One server of those on a database holds a lease and publishes. It publishes in sessions: each begins with the end of
//! the stream, and ends with the first thing that is not as predicted. See `session` for the invariant and what keeps
//! it, and `message` for what is published.
//!
//! | module | subject |
//! |---|---|
//! | `session` | publishing, from the end of the stream on |
//! | `resume` | where to go on |
//! | `stream` | making, checking and reading the stream |
//! | `message`, `fan_out` | what an event becomes |
//! | `connection` | the connection |
//! | `status`, `fault` | how it is, and why |

mod connection;
mod fan_out;
mod fault;
mod message;
mod resume;
mod session;
mod status;
mod stream;

use std::{convert::Infallible, sync::Arc, time::Duration};

use async_nats::ServerAddr;
use cqar_domain::{
    entity::Revision,
    event::{EventLog, LogPosition},
    id::{IdSource, SystemIds},
    relay::{RelayStateStore, Transforms},
};
use prometheus::Registry;
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use connection::NatsConnection;
pub use connection::{Credentials, RelayTls};
use fault::{PermanentFault, RelayFault};
use status::SharedStatus;
pub use status::{RelayHealth, RelayState};

use crate::backoff::Backoff;

/// How often the cursor is saved while events flow: each time costs the database a write.
const CURSOR_INTERVAL: Duration = Duration::from_secs(1);
/// The time for saving the cursor and releasing the lease when the server stops.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(2);

/// Where and how the relay publishes.
#[derive(Debug, Clone)]
pub struct RelaySettings {
    /// The NATS servers of one cluster, as `nats://host:port`, `tls://host:port` or `host:port`.
    pub servers: Vec<String>,
    /// Who the relay is to them.
    pub credentials: Credentials,
    /// How they are spoken to over TLS.
    pub tls: RelayTls,
    /// The stream's name.
    pub stream: String,
    /// What subjects begin with: `<prefix>.<event type>`.
    pub subject_prefix: String,
    /// The duplicate window of the stream, where the relay makes it. No promise rests on it.
    pub duplicate_window: Duration,
    /// The replicas of the stream, where the relay makes it.
    pub replicas: usize,
    /// How many messages may be on their way. The next one waits.
    pub window: usize,
    /// After how long a message or request counts as unanswered.
    pub ack_timeout: Duration,
    /// For how long the lease to publish holds when its holder is gone, in whole seconds.
    pub lease_ttl: Duration,
    /// The longest pause between two attempts.
    pub retry: Duration,
}

impl Default for RelaySettings {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            credentials: Credentials::None,
            tls: RelayTls::default(),
            stream: "cqc_events".to_owned(),
            subject_prefix: "cqc.events.v1".to_owned(),
            duplicate_window: Duration::from_mins(2),
            replicas: 1,
            // At a millisecond to the server and back, a quarter of a million messages a second.
            window: 256,
            ack_timeout: Duration::from_secs(5),
            lease_ttl: Duration::from_secs(6),
            retry: Duration::from_secs(5),
        }
    }
}

/// Why the relay cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// No server is named.
    #[error("no NATS server is named")]
    NoServer,
    /// An address cannot be read.
    #[error("{address:?} is no address of a NATS server: {source}")]
    Address {
        /// As it was given.
        address: String,
        /// What is wrong.
        source: std::io::Error,
    },
    /// The name of the stream cannot be one.
    #[error("{0:?} is no name of a stream: it must be of A-Z, a-z, 0-9, _ and -")]
    Stream(String),
    /// The subject prefix cannot be one.
    #[error("{0:?} is no subject prefix: it must be tokens of A-Z, a-z, 0-9, _ and -, joined by dots")]
    SubjectPrefix(String),
    /// The metrics cannot be registered.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// The relay.
pub struct Relay {
    settings: RelaySettings,
    servers: Vec<ServerAddr>,
    log: Arc<dyn EventLog>,
    state_store: Arc<dyn RelayStateStore>,
    transforms: Arc<dyn Transforms>,
    applied: watch::Receiver<Revision>,
    status: SharedStatus,
    /// This server, to the lease.
    holder: Uuid,
}

impl Relay {
    /// Starts the relay, whether NATS is there or not. Its task ends on the token. `applied` wakes it.
    #[expect(clippy::too_many_arguments, reason = "the ports, and what every part of the server is handed")]
    pub fn start(
        settings: RelaySettings,
        log: Arc<dyn EventLog>,
        state_store: Arc<dyn RelayStateStore>,
        transforms: Arc<dyn Transforms>,
        applied: watch::Receiver<Revision>,
        metrics: &Registry,
        tracker: &TaskTracker,
        token: CancellationToken,
    ) -> Result<Arc<Self>, RelayError> {
        let servers = settings.servers.iter().map(|address| parse_address(address)).collect::<Result<Vec<_>, _>>()?;
        if servers.is_empty() {
            return Err(RelayError::NoServer);
        }
        if !message::is_token(&settings.stream) {
            return Err(RelayError::Stream(settings.stream));
        }
        if !settings.subject_prefix.split('.').all(message::is_token) {
            return Err(RelayError::SubjectPrefix(settings.subject_prefix));
        }
        let status = SharedStatus::register(metrics)?;
        let holder = SystemIds.uuid();
        let relay = Arc::new(Self { settings, servers, log, state_store, transforms, applied, status, holder });
        tracker.spawn(Arc::clone(&relay).run(token));
        Ok(relay)
    }

    /// How it is.
    pub fn health(&self) -> RelayHealth {
        self.status.health(*self.applied.borrow())
    }

    async fn run(self: Arc<Self>, token: CancellationToken) {
        tokio::select! {
            () = token.cancelled() => {}
            never = self.run_as_leader() => match never {},
            never = self.show_lag() => match never {},
        }
        let release = async {
            if let Some(done_before) = self.status.done_before() {
                self.state_store.save_cursor(done_before).await?;
            }
            self.state_store.release_lease(self.holder).await
        };
        match timeout(SHUTDOWN_TIMEOUT, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the relay's lease is left to expire"),
            Err(_) => tracing::warn!("the relay's lease is left to expire: the database does not answer"),
        }
    }

    /// Takes the lease whenever it is free, and publishes while it is held.
    async fn run_as_leader(&self) -> Infallible {
        // A standby keeps its connection too: it takes over at once, and whether it could is known before it must.
        let mut connection = self.connect().await;
        loop {
            match self.state_store.hold_lease(self.holder, self.settings.lease_ttl).await {
                Ok(true) => {
                    tokio::select! {
                        () = self.keep_lease() => self.status.set(RelayState::Waiting, "the lease to publish was lost"),
                        never = self.publish(&mut connection) => match never {},
                        never = self.save_cursor() => match never {},
                    }
                }
                Ok(false) => match connection.fault() {
                    None => self.status.set(RelayState::Standby, "another server publishes, or did a moment ago"),
                    Some(reason) => self.status.fault(&RelayFault::Away(reason)),
                },
                Err(error) => self.status.fault(&RelayFault::Database(error)),
            }
            sleep(self.lease_interval()).await;
        }
    }

    /// Renews the lease until it is lost, or may be: the stream would refuse a second publisher, but it need not come
    /// to that.
    async fn keep_lease(&self) {
        let mut held_at = Instant::now();
        while held_at.elapsed() < self.settings.lease_ttl {
            sleep(self.lease_interval()).await;
            let asked_at = Instant::now();
            let left = self.settings.lease_ttl.saturating_sub(held_at.elapsed());
            match timeout(left, self.state_store.hold_lease(self.holder, self.settings.lease_ttl)).await {
                Ok(Ok(true)) => held_at = asked_at,
                Ok(Ok(false)) => return,
                Ok(Err(error)) => tracing::warn!(%error, "the relay's lease is not renewed"),
                Err(_) => tracing::warn!("the relay's lease is not renewed: the database does not answer"),
            }
        }
    }

    /// Saves what is done, beside the publishing: it serves a purged stream alone, and a failure is no reason to stop.
    async fn save_cursor(&self) -> Infallible {
        let (mut saved, mut fails) = (None, false);
        loop {
            sleep(CURSOR_INTERVAL).await;
            let done_before = self.status.done_before();
            let Some(next) = done_before.filter(|_| done_before != saved) else { continue };
            let outcome = self.state_store.save_cursor(next).await;
            if let Err(error) = &outcome
                && !fails
            {
                tracing::warn!(%error, "relay_cursor_not_saved");
            }
            fails = outcome.is_err();
            if !fails {
                saved = done_before;
            }
        }
    }

    fn lease_interval(&self) -> Duration {
        self.settings.lease_ttl / 3
    }

    /// Begins to connect. What fails here is a file that cannot be read.
    async fn connect(&self) -> NatsConnection {
        loop {
            match NatsConnection::connect(&self.servers, &self.settings.credentials, &self.settings.tls).await {
                Ok(connection) => return connection,
                Err(error) => self.status.fault(&RelayFault::Away(error)),
            }
            sleep(self.settings.retry).await;
        }
    }

    /// Publishes, session after session.
    async fn publish(&self, connection: &mut NatsConnection) -> Infallible {
        // Until the stream is reached, the cursor is the best guess at the lag. What was done when this server published before is not:
        // another one may have done more.
        self.status.begin();
        if let Ok(cursor) = self.state_store.cursor().await {
            self.status.advance(cursor.unwrap_or(LogPosition::start_of(1)));
        }
        let mut backoff = Backoff::up_to(self.settings.retry);
        let mut confirmed = None;
        loop {
            let waiting = |reason: &str| self.status.fault(&RelayFault::Away(reason.to_owned()));
            let connected = connection.connected(waiting).await;
            let client = connection.client.clone();
            let before = self.status.done_before();
            let outcome = tokio::select! {
                outcome = session::run(self, &client, &mut confirmed) => outcome,
                reason = connection.lost(connected) => Err(RelayFault::Away(reason)),
            };
            let fault = match outcome {
                Err(fault) => fault,
                Ok(never) => match never {},
            };
            self.status.fault(&fault);
            if self.status.done_before() != before {
                backoff.reset();
            }
            let pause = sleep(backoff.delay());
            match fault {
                // The server says how much it takes when a connection is made, and never again.
                RelayFault::Refused(PermanentFault::TooLarge { .. }) => {
                    pause.await;
                    connection.renew(connected).await;
                }
                RelayFault::Held { .. } => tokio::select! {
                    () = pause => {}
                    () = self.transforms.changed() => {}
                },
                RelayFault::Away(_) | RelayFault::Diverged(_) | RelayFault::Database(_) | RelayFault::Refused(_) => {
                    pause.await;
                }
            }
        }
    }

    /// Keeps the lag true while nothing is published.
    async fn show_lag(&self) -> Infallible {
        let mut applied = self.applied.clone();
        loop {
            self.status.show_lag(*applied.borrow_and_update());
            if applied.changed().await.is_err() {
                // The tailer has stopped: the log does not grow any more.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Whether it is the address of a NATS server.
pub fn is_address(address: &str) -> bool {
    let schemes = ["nats", "tls"];
    let is_known = address.split_once("://").is_none_or(|(scheme, _)| schemes.contains(&scheme));
    is_known && parse_address(address).is_ok_and(|address| !address.host().is_empty())
}

fn parse_address(address: &str) -> Result<ServerAddr, RelayError> {
    address.trim().parse().map_err(|source| RelayError::Address { address: address.to_owned(), source })
}
