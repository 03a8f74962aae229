//! The registry itself: the real binary, on free ports, in a folder of its own.

use std::{
    fmt::Display,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, channel},
    },
    time::{Duration, Instant},
};

use cqar_proto::v1::{
    event_service_client::EventServiceClient, market_service_client::MarketServiceClient,
    plugin_service_client::PluginServiceClient, registry_service_client::RegistryServiceClient,
};
use serde_json::Value;
use tempfile::TempDir;
use tonic::transport::Channel;

/// Longer than any start takes on a machine that builds something else meanwhile.
const START_TIMEOUT: Duration = Duration::from_mins(2);

/// What a server is started with. The same options, and so the same folder, start it again.
#[derive(Clone)]
pub struct Options {
    folder: Arc<TempDir>,
    variables: Vec<(String, String)>,
    starter: bool,
    /// The most files that it may open; none for as many as this process may.
    open_files: Option<u32>,
}

/// A running server. Ends with its drop.
pub struct Server {
    /// What it was started with.
    pub options: Options,
    child: Child,
    grpc: String,
    http: String,
    metrics: String,
    log: Arc<Mutex<Vec<String>>>,
}

impl Options {
    /// A new folder: SQLite, the shipped plugins, no cache in Redis, no event bus.
    pub fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("cqar-").tempdir().unwrap();
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).unwrap();
        for name in ["market-sanity", "route-by-venue", "symbology-binance"] {
            let file = format!("{name}.wasm");
            let built = shipped_plugins().join(&file);
            std::fs::copy(&built, plugins.join(&file))
                .unwrap_or_else(|error| panic!("{}: {error}: run `make plugins`", built.display()));
        }
        let path = |name: &str| folder.path().join(name).display().to_string();
        let variables = [
            ("SERVER_GRPC_PORT", "0".to_owned()),
            ("SERVER_HTTP_PORT", "0".to_owned()),
            ("METRICS_PORT", "0".to_owned()),
            ("DATABASE_URL", format!("sqlite://{}", path("cqar.db"))),
            ("PLUGINS_DIR", path("plugins")),
            ("PLUGINS_DATA_DIR", path("last-good")),
            ("PLUGINS_REQUIRED", "market-sanity".to_owned()),
            ("PLUGINS_GRANTS", "lookup:registry,find:registry,name-instrument:registry".to_owned()),
            ("PLUGINS_COMPILED_DIR", compiled_plugins().display().to_string()),
            ("LOG_FORMAT", "json".to_owned()),
        ];
        let variables = variables.map(|(name, value)| (name.to_owned(), value)).into();
        Self { folder: Arc::new(folder), variables, starter: false, open_files: None }
    }

    /// With an environment variable set.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Display) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self.variables.push((name.to_owned(), value.to_string()));
        self
    }

    /// With the starter dataset.
    #[must_use]
    pub fn with_starter(mut self) -> Self {
        self.starter = true;
        self
    }

    /// With no more open files than this.
    #[must_use]
    pub fn with_open_files(mut self, most: u32) -> Self {
        self.open_files = Some(most);
        self
    }

    /// With one of the components that are built for tests.
    #[must_use]
    pub fn with_testing_plugin(self, name: &str) -> Self {
        let file = format!("{name}.wasm");
        let built = testing_plugins().join(&file);
        std::fs::copy(&built, self.plugins().join(&file))
            .unwrap_or_else(|error| panic!("{}: {error}: run `plugins/build testing`", built.display()));
        self
    }

    /// The watched directory.
    pub fn plugins(&self) -> PathBuf {
        self.folder.path().join("plugins")
    }

    /// The server's folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's command, to be changed or run by the test itself.
    pub fn command(&self) -> Command {
        let mut command = match self.open_files {
            Some(most) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={most}:{most}")).arg(binary());
                command
            }
            None => Command::new(binary()),
        };
        command.env_clear().envs(self.variables.iter().cloned()).current_dir(self.folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).stdin(Stdio::null());
        command
    }

    /// Migrates the database, as an operator does before the server starts on PostgreSQL.
    pub fn migrate_up(&self) {
        let migrated = self.command().args(["migrate", "up"]).output().unwrap();
        assert!(migrated.status.success(), "{}", String::from_utf8_lossy(&migrated.stderr));
    }

    /// Runs a server that is to refuse to start.
    pub fn refused(&self) -> Output {
        self.command().arg("serve").output().unwrap()
    }

    /// Without an environment variable.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(other, _)| other != name);
        self
    }

    /// Starts the server, and returns when it serves.
    pub async fn start(&self) -> Server {
        self.start_until("serving").await
    }

    /// Begins to start the server, and returns when its ports answer: it may still wait for its database.
    pub async fn begin(&self) -> Server {
        self.start_until("listening").await
    }

    async fn start_until(&self, event: &'static str) -> Server {
        let this = self.clone();
        tokio::task::spawn_blocking(move || this.start_blocking(event)).await.unwrap()
    }

    fn start_blocking(self, event: &'static str) -> Server {
        let mut command = self.command();
        command.arg("serve").stdout(Stdio::null()).stderr(Stdio::piped());
        if self.starter {
            command.arg("--starter").arg(repository().join("config/starter"));
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", binary().display()));
        let log = Arc::new(Mutex::new(Vec::new()));
        let reached = read_log(&mut child, &log, event);
        let Ok(line) = reached.recv_timeout(START_TIMEOUT) else {
            let _ = child.kill();
            let _ = child.wait();
            panic!("the server did not start:\n{}", log.lock().unwrap().join("\n"));
        };
        let address = |key: &str| line[key].as_str().map(|address| format!("http://{address}")).unwrap_or_default();
        let (grpc, http, metrics) = (address("grpc"), address("http"), address("metrics"));
        Server { options: self, child, grpc, http, metrics, log }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl Server {
    /// The address of gRPC.
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// The address of HTTP.
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The address of the metrics.
    pub fn metrics(&self) -> &str {
        &self.metrics
    }

    /// The server's process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A connection.
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.grpc.clone()).unwrap().connect().await.unwrap()
    }

    /// A client of markets.
    pub async fn markets(&self) -> MarketServiceClient<Channel> {
        MarketServiceClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    /// A client of the registry.
    pub async fn registry(&self) -> RegistryServiceClient<Channel> {
        RegistryServiceClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    /// A client of events.
    pub async fn events(&self) -> EventServiceClient<Channel> {
        EventServiceClient::new(self.channel().await)
    }

    /// A client of plugins.
    pub async fn plugins(&self) -> PluginServiceClient<Channel> {
        PluginServiceClient::new(self.channel().await)
    }

    /// Runs the command line against this server.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        self.cli_command(arguments).output().unwrap()
    }

    /// The command line against this server, to be changed or run by the test itself.
    pub fn cli_command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(["--server", &self.grpc]).args(arguments).current_dir(repository()).stdin(Stdio::null());
        command
    }

    /// Runs the command line and reads its JSON.
    pub fn cli_json(&self, arguments: &[&str]) -> Value {
        let output = self.cli(&[&["--output", "json"], arguments].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stdout)))
    }

    /// The body of an HTTP GET, and its status.
    pub async fn http_get(&self, base: &str, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = base.trim_start_matches("http://");
        let mut connection = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    /// Every line that the server logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it logged an event, and returns its line.
    pub async fn until_logged(&self, event: &str) -> Value {
        let logged = || {
            let lines = self.log();
            lines
                .iter()
                .filter_map(|line| serde_json::from_str(line).ok())
                .find(|line: &Value| line["message"] == event)
        };
        crate::collect::until(event, async || logged()).await
    }

    /// Sends it a signal, such as HUP or STOP.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([&format!("-{signal}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits until it ended by itself, and says how and what it logged.
    pub async fn ended(mut self) -> (ExitStatus, Vec<String>) {
        let started = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(started.elapsed() < START_TIMEOUT, "it goes on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        (status, self.log())
    }

    /// Kills it without warning.
    pub fn kill(mut self) -> Options {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.options.clone()
    }

    /// Asks it to end, and waits until it has.
    pub async fn terminate(mut self) -> ExitStatus {
        self.signal("TERM");
        tokio::task::spawn_blocking(move || self.child.wait().unwrap()).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log.lock().unwrap().join("\n"));
        }
    }
}

/// Collects the log, and hands over the line of an event, which says where the server listens.
fn read_log(child: &mut Child, log: &Arc<Mutex<Vec<String>>>, event: &'static str) -> Receiver<Value> {
    let (sender, receiver) = channel();
    let (lines, log) = (BufReader::new(child.stderr.take().unwrap()).lines(), Arc::clone(log));
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            let read: Value = serde_json::from_str(&line).unwrap_or_default();
            if read["message"] == event {
                let _ = sender.send(read);
            }
            log.lock().unwrap().push(line);
        }
    });
    receiver
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The real venue listings, where they are.
pub fn shared_data() -> Option<PathBuf> {
    let folder = repository().join("../shared/data");
    if folder.exists() {
        return Some(folder);
    }
    println!("skipped: {} is absent", folder.display());
    None
}

/// Where `make plugins` puts the shipped plugins.
pub fn shipped_plugins() -> PathBuf {
    repository().join("target/plugins")
}

/// Where all servers of the tests keep what they compiled, so that each component is compiled once.
fn compiled_plugins() -> PathBuf {
    let binary = binary();
    binary.parent().unwrap_or(&binary).join("plugins-compiled")
}

/// Where the components that only tests use are.
pub fn testing_plugins() -> PathBuf {
    repository().join("target/plugins-testing")
}

/// The server's binary, built beside the running test.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let binary = test.ancestors().skip(1).take(2).map(|folder| folder.join("cqar")).find(|path| path.is_file());
    binary.unwrap_or_else(|| panic!("no binary beside {}: run `cargo build -p cqar`", test.display()))
}
