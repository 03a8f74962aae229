//! A registry's log, a relay of it, and what arrives.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_nats::{
    HeaderMap,
    jetstream::{
        self,
        message::StreamMessage,
        stream::{Config, Stream},
    },
};
use async_trait::async_trait;
use cqar_domain::{
    entities::asset::{Asset, AssetType},
    entity::{Meta, Revision},
    event::{EventLog, LogPosition, LoggedEvent},
    id::{AssetId, SystemIds},
    relay::{OutboundMessage, TransformFailure, Transforms},
    text::Labels,
    time::{Clock, SystemClock},
};
use cqar_events::{
    log_tailer::{LogTailer, LogTailerSettings},
    relay::{Relay, RelayHealth, RelaySettings, RelayState},
};
use cqar_store::{Change, Store, StoreSettings, WriteAttribution};
use cqar_tests::collect::{DEADLINE, until};
use prometheus::Registry;
use tempfile::TempDir;
use tokio::{runtime::Runtime, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The relay's settings in tests: impatient.
pub fn settings(url: impl Into<String>) -> RelaySettings {
    RelaySettings {
        servers: vec![url.into()],
        ack_timeout: Duration::from_secs(1),
        lease_ttl: Duration::from_secs(1),
        retry: Duration::from_millis(200),
        ..RelaySettings::default()
    }
}

/// A log in SQLite, and its tailer.
pub struct Log {
    pub store: Arc<Store>,
    pub tailer: Arc<LogTailer>,
    token: CancellationToken,
    _folder: TempDir,
}

impl Log {
    pub async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("cqar.db").display());
        let store = Store::open(&StoreSettings::new(url), Arc::new(SystemClock), &Registry::new()).await.unwrap();
        store.migrate_up().await.unwrap();
        let (store, token) = (Arc::new(store), CancellationToken::new());
        let (metrics, tracker) = (Registry::new(), TaskTracker::new());
        let settings = LogTailerSettings::default();
        let tailer =
            LogTailer::start(store.clone(), Arc::new(()), settings, &metrics, &tracker, token.clone()).await.unwrap();
        Self { store, tailer, token, _folder: folder }
    }

    /// Commits a revision that creates so many assets, and has it applied.
    pub async fn write(&self, assets: usize) -> Revision {
        self.write_described(assets, "").await
    }

    /// The same, with a description.
    pub async fn write_described(&self, assets: usize, description: &str) -> Revision {
        let changes = (0..assets).map(|_| Change {
            before: None,
            after: Some(asset(description).into()),
            reason: String::new(),
            effective_time: None,
            judged_by: Vec::new(),
            warnings: Vec::new(),
        });
        let attribution = WriteAttribution { actor: "test".into(), request_id: None, time: SystemClock.now() };
        let mut write = self.store.begin_write().await.unwrap();
        write.write(changes.collect(), &attribution).await.unwrap();
        let committed = write.commit().await.unwrap();
        self.tailer.committed(committed.events);
        assert!(self.tailer.wait_for(committed.revision, DEADLINE).await);
        committed.revision
    }

    /// Everything in the log.
    pub async fn events(&self) -> Vec<LoggedEvent> {
        let mut events: Vec<LoggedEvent> = Vec::new();
        loop {
            let next = events.last().map_or(LogPosition::start_of(1), |last| last.position.next());
            let page = self.store.read(next, 10_000).await.unwrap();
            events.extend(page.events);
            if !page.has_more {
                return events;
            }
        }
    }

    /// The names of all messages that the log makes without transforms, `<revision>.<index>.0`.
    pub async fn names(&self) -> Vec<String> {
        self.events().await.iter().map(|event| format!("{}.0", event.position)).collect()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.token.cancel();
    }
}

fn asset(description: &str) -> Asset {
    Asset {
        id: AssetId::new(&SystemIds),
        symbol: "TEST".into(),
        name: "Test".into(),
        asset_type: AssetType::Token,
        category: String::new(),
        description: description.into(),
        logo_url: String::new(),
        website_url: String::new(),
        labels: Labels::default(),
        meta: Meta::default(),
    }
}

type RuleFn = dyn Fn(&LoggedEvent) -> Result<Vec<OutboundMessage>, TransformFailure> + Send + Sync;

/// A transform that a test writes, and swaps.
pub struct Rule {
    rule: Mutex<Arc<RuleFn>>,
    changed: Notify,
}

impl Rule {
    pub fn new(
        rule: impl Fn(&LoggedEvent) -> Result<Vec<OutboundMessage>, TransformFailure> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { rule: Mutex::new(Arc::new(rule)), changed: Notify::new() })
    }

    /// Every event as it is.
    pub fn pass() -> Arc<Self> {
        Self::split(1)
    }

    /// Every event in so many parts.
    pub fn split(parts: usize) -> Arc<Self> {
        Self::new(move |_| Ok((0..parts).map(|part| outgoing(&format!("part-{part}"))).collect()))
    }

    pub fn swap(
        &self,
        rule: impl Fn(&LoggedEvent) -> Result<Vec<OutboundMessage>, TransformFailure> + Send + Sync + 'static,
    ) {
        *self.rule.lock().unwrap() = Arc::new(rule);
        self.changed.notify_waiters();
    }
}

/// A message under a suffix.
pub fn outgoing(suffix: &str) -> OutboundMessage {
    OutboundMessage { subject_suffix: suffix.into(), ..OutboundMessage::default() }
}

#[async_trait]
impl Transforms for Rule {
    async fn transform(
        &self,
        events: &[LoggedEvent],
        _: &str,
    ) -> (Vec<Vec<OutboundMessage>>, Option<TransformFailure>) {
        let rule = self.rule.lock().unwrap().clone();
        let mut answers = Vec::new();
        for event in events {
            match rule(event) {
                Ok(parts) => answers.push(parts),
                Err(failure) => return (answers, Some(failure)),
            }
        }
        (answers, None)
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }
}

/// A relay on a runtime of its own, as in a server of its own.
pub struct Server {
    pub relay: Arc<Relay>,
    runtime: Option<Runtime>,
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Server {
    pub fn start(log: &Log, settings: RelaySettings, transforms: Arc<Rule>) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
        let relay = {
            let _guard = runtime.enter();
            let (store, applied) = (log.store.clone(), log.tailer.subscribe());
            let metrics = Registry::new();
            Relay::start(settings, store.clone(), store, transforms, applied, &metrics, &tracker, token.clone())
                .unwrap()
        };
        Self { relay, runtime: Some(runtime), tracker, token }
    }

    /// Ends it as SIGKILL does: nothing gets to say a last word.
    pub fn crash(mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }

    /// Ends it as SIGTERM does.
    pub async fn stop(self) {
        self.token.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Waits until everything is published.
    pub async fn caught_up(&self) {
        until("caught up", || async {
            let health = self.relay.health();
            (health.state == RelayState::Ok && health.lag_revisions == Some(0)).then_some(())
        })
        .await;
    }

    /// Waits for a state, and says how the relay is then.
    pub async fn comes_to(&self, state: RelayState) -> RelayHealth {
        until(state.name(), || async { Some(self.relay.health()).filter(|health| health.state == state) }).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.token.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The value of a header, or an empty text.
pub fn header(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(ToString::to_string).unwrap_or_default()
}

/// The stream, as another client sees it.
pub struct Tap {
    pub jetstream: jetstream::Context,
}

impl Tap {
    pub fn new(client: async_nats::Client) -> Self {
        Self { jetstream: jetstream::new(client) }
    }

    pub async fn stream(&self) -> Stream {
        self.jetstream.get_stream("cqc_events").await.unwrap()
    }

    /// Makes the stream before the relay does.
    pub async fn create(&self, configure: impl FnOnce(&mut Config)) {
        let mut config =
            Config { name: "cqc_events".into(), subjects: vec!["cqc.events.v1.>".into()], ..Config::default() };
        configure(&mut config);
        self.jetstream.create_stream(config).await.unwrap();
    }

    /// Everything on the stream, in order.
    pub async fn messages(&self) -> Vec<StreamMessage> {
        let stream = self.stream().await;
        let state = stream.cached_info().state.clone();
        let mut messages = Vec::new();
        for sequence in state.first_sequence..=state.last_sequence {
            if let Ok(message) = stream.get_raw_message(sequence).await {
                messages.push(message);
            }
        }
        messages
    }

    /// The names of all messages, `<revision>.<index>.<part>`, in order. Each is there once.
    pub async fn names(&self) -> Vec<String> {
        let messages = self.messages().await;
        let names: Vec<String> = messages.iter().map(|message| header(&message.headers, "ce-id")).collect();
        let different: HashSet<_> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "doubled: {names:?}");
        names
    }

    /// Waits until the stream holds so many messages.
    pub async fn holds(&self, messages: u64) {
        until("stored", || async {
            let stream = self.jetstream.get_stream("cqc_events").await.ok()?;
            (stream.cached_info().state.messages >= messages).then_some(())
        })
        .await;
    }
}
