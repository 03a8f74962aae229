//! A host on directories of its own, and what tests feed it.

use std::{
    collections::BTreeMap,
    error::Error as _,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use cqar_domain::{
    entity::Revision,
    id::{EntityKey, EntityType},
    lookup::{FoundDocument, FoundDocuments, IndexKey, Lookup, LookupError, LookupIndex, ReadSet},
    time::{SystemClock, Timestamp},
};
use cqar_plugins::{
    CallContext, Change, CompilerConfig, HostConfig, MEMORY_BUDGET_BYTES, Operation, PluginHost, PluginSettings,
    PluginStatus, SETTLE_TIMEOUT, START_TIMEOUT, StartError,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{sync::Mutex, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Everything that is awaited comes within this, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What a host is started with.
pub struct Fixture {
    root: TempDir,
    pub config: HostConfig,
    pub lookup: Arc<dyn Lookup>,
}

/// A host that runs. Dropping it leaves its directories as they are.
pub struct Running {
    pub host: Arc<PluginHost>,
    pub metrics: prometheus::Registry,
    tracker: TaskTracker,
    token: CancellationToken,
}

impl Fixture {
    pub fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let config = HostConfig {
            dir: root.path().join("plugins"),
            data_dir: root.path().join("data"),
            required: Vec::new(),
            transforms: Vec::new(),
            plugins: PluginSettings {
                grants: ["lookup", "find", "name-instrument"].map(|name| (name.into(), vec!["registry".into()])).into(),
                ..PluginSettings::default()
            },
            compiler: CompilerConfig {
                program: cqar(),
                cache_dir: root.path().join("compiled"),
                memory_bytes: 2 << 30,
            },
            start_timeout: START_TIMEOUT,
            settle_timeout: SETTLE_TIMEOUT,
            memory_budget_bytes: MEMORY_BUDGET_BYTES,
            trusted_keys: None,
        };
        fs::create_dir(&config.dir).unwrap();
        Self { root, config, lookup: Arc::new(Instruments::default()) }
    }

    /// With these components in the directory from the start.
    pub fn with(components: &[&str]) -> Self {
        let fixture = Self::new();
        for name in components {
            fixture.put(name, &component(name));
        }
        fixture
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.config.dir.join(format!("{name}.wasm"))
    }

    /// Puts a file there as a careful operator does: whole or not at all.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        let partial = self.config.dir.join(format!(".{name}.partial"));
        fs::write(&partial, bytes).unwrap();
        fs::rename(&partial, self.file(name)).unwrap();
    }

    /// Damages the bytes that served last.
    pub fn damage_kept(&self) {
        let kept = fs::read_dir(&self.config.data_dir).unwrap().flatten().map(|entry| entry.path());
        for file in kept.filter(|path| path.extension().is_some_and(|it| it == "wasm")) {
            fs::write(file, b"damaged").unwrap();
        }
    }

    pub async fn start(&self) -> Running {
        self.try_start().await.unwrap()
    }

    /// Why the host does not start, with its cause.
    pub async fn refused(&self) -> String {
        let error = self.try_start().await.err().unwrap();
        format!("{error}: {}", error.source().unwrap())
    }

    async fn try_start(&self) -> Result<Running, StartError> {
        let (metrics, tracker, token) = (prometheus::Registry::new(), TaskTracker::new(), CancellationToken::new());
        let lookup = Arc::clone(&self.lookup);
        let host =
            PluginHost::start(self.config.clone(), lookup, Arc::new(SystemClock), &metrics, &tracker, token.clone())
                .await?;
        Ok(Running { host, metrics, tracker, token })
    }
}

impl Running {
    /// Ends every task of the host.
    pub async fn stop(self) {
        self.token.cancel();
        self.tracker.close();
        timeout(PATIENCE, self.tracker.wait()).await.expect("every task ends on the token");
    }

    pub fn status(&self, name: &str) -> PluginStatus {
        self.host.list().into_iter().find(|it| it.name == name).unwrap_or_default()
    }

    /// Waits until the plugin stands so.
    pub async fn until(&self, name: &str, condition: impl Fn(&PluginStatus) -> bool) -> PluginStatus {
        let mut changes = self.host.changes();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                let status = self.status(name);
                if condition(&status) {
                    return status;
                }
                changes.changed().await.unwrap();
            }
        };
        let waited = timeout(PATIENCE, waiting).await;
        waited.unwrap_or_else(|_| panic!("{name} stands otherwise: {:#?}", self.status(name)))
    }

    /// The value of a counter or gauge with these labels, 0 if there is none.
    pub fn metric(&self, name: &str, labels: &[(&str, &str)]) -> String {
        let families = self.metrics.gather();
        let family = families.iter().find(|it| it.name() == name);
        let with_labels = |metric: &&prometheus::proto::Metric| {
            labels
                .iter()
                .all(|(key, value)| metric.get_label().iter().any(|it| it.name() == *key && it.value() == *value))
        };
        let metric = family.and_then(|it| it.get_metric().iter().find(with_labels));
        metric.map_or(0.0, |it| it.get_counter().get_value() + it.get_gauge().get_value()).to_string()
    }
}

/// The server's binary, whose command `compile` is the compiler.
fn cqar() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().skip(1).take(2).map(|folder| folder.join("cqar")).find(|path| path.is_file());
    binary.unwrap_or_else(|| panic!("no binary beside {}: run `cargo build --workspace --bins`", test.display()))
}

/// The bytes of a component that was built beforehand.
pub fn component(name: &str) -> Vec<u8> {
    let target = std::env::var_os("CQAR_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let shipped = target.join(format!("plugins/{name}.wasm"));
    let testing = target.join(format!("plugins-testing/{name}.wasm"));
    fs::read(shipped)
        .or_else(|_| fs::read(testing))
        .unwrap_or_else(|_| panic!("{name}.wasm is not built: run `make plugins`, and `plugins/build testing`"))
}

pub fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

pub fn context() -> CallContext {
    CallContext { actor: "tests".into(), revision: 7, ..CallContext::at(now()) }
}

/// The creation of a market with this symbol, of which a sane plugin thinks nothing.
pub fn market(symbol: &str) -> Change {
    market_with(symbol, &json!({}))
}

/// The same with other fields.
pub fn market_with(symbol: &str, fields: &Value) -> Change {
    let mut document = json!({
        "id": "01890a5d-ac96-774b-bcce-b302099a8057", "venue_id": "binance", "segment": "spot", "venue_symbol": symbol,
        "instrument_id": "01890a5d-ac96-774b-bcce-b302099a8058", "unit_multiplier": "1", "tick_size": "0.01",
        "lot_size": "0.00001", "min_quantity": "0.00001", "max_quantity": "9000", "min_notional": "5",
        "status": "MARKET_STATUS_ACTIVE",
    });
    for (key, value) in fields.as_object().unwrap() {
        document[key] = value.clone();
    }
    Change {
        operation: Operation::Create,
        entity_type: EntityType::Market,
        id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        before: None,
        after: Some(document.to_string()),
    }
}

/// A registry of instruments, found by their codes, that changes when it is told to. A double of the port, to force the
/// interleavings.
#[derive(Default)]
pub struct Instruments {
    pub state: Mutex<State>,
}

#[derive(Default)]
pub struct State {
    /// Whether every answer is followed by a change of each row.
    pub moving: bool,
    /// Whether every answer is followed by changes of other rows, and how many there were.
    pub others: usize,
    /// The code of each, and the revision of its last change.
    pub codes: BTreeMap<String, (String, Revision)>,
}

impl State {
    fn get(&self, id: &str) -> Option<FoundDocument> {
        let (code, revision) = self.codes.get(id)?;
        let key = EntityKey::parse(EntityType::Instrument, id).ok()?;
        Some(FoundDocument { key, revision: *revision, document: json!({"id": id, "code": code}).to_string() })
    }

    fn find(&self, key: &IndexKey) -> FoundDocuments {
        assert_eq!(key.index(), LookupIndex::InstrumentCode);
        let mut documents: Vec<_> = self.codes.keys().filter_map(|id| self.get(id)).collect();
        documents.retain(|it| self.codes[&it.key.id()].0 == key.parts()[0]);
        FoundDocuments { documents, more: false }
    }

    /// What happens after every answer.
    fn go_on(&mut self) {
        self.others += 1;
        let other = format!("another {}", self.others);
        self.codes.insert(other, ("ETH/USDT".into(), 100));
        if self.moving {
            self.codes.values_mut().for_each(|(_, revision)| *revision += 1);
        }
    }
}

#[async_trait]
impl Lookup for Instruments {
    async fn get(&self, keys: &[EntityKey], _: usize) -> Result<Vec<Option<FoundDocument>>, LookupError> {
        let mut state = self.state.lock().await;
        let answer = keys.iter().map(|key| state.get(&key.id())).collect();
        state.go_on();
        Ok(answer)
    }

    async fn find(&self, keys: &[IndexKey], _: usize) -> Result<Vec<FoundDocuments>, LookupError> {
        let mut state = self.state.lock().await;
        let answer = keys.iter().map(|key| state.find(key)).collect();
        state.go_on();
        Ok(answer)
    }

    async fn read_again(&self, read: &ReadSet) -> Result<ReadSet, LookupError> {
        let state = self.state.lock().await;
        let mut again = ReadSet::default();
        for key in read.rows() {
            let revision = state.get(&key.id()).map(|it| it.revision);
            assert!(again.add(key, revision));
        }
        for key in read.sets() {
            let found = state.find(&key);
            assert!(again.add_found(key, &found));
        }
        Ok(again)
    }
}

impl Running {
    /// Stops, which waits for the calls that still run, and says how a plugin stands then.
    pub async fn stop_after(self, condition: impl Fn(&PluginStatus) -> bool, name: &str) {
        let host = Arc::clone(&self.host);
        self.stop().await;
        let status = host.list().into_iter().find(|it| it.name == name).unwrap();
        assert!(condition(&status), "{status:?}");
    }
}
