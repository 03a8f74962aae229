//! A throwaway NATS server with JetStream, which can be killed and comes back on the same port with the same store.
//!
//! The binary is `.venv/bin/nats-server`, which `make setup` installs, or `nats-server` of the PATH.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use async_nats::{Client, ServerAddr};
use tempfile::TempDir;

use crate::port;

/// A server of one test. Ends with its drop.
pub struct Nats {
    port: u16,
    folder: TempDir,
    server: Option<Child>,
}

impl Nats {
    /// Starts a server, and waits until it answers.
    pub fn start() -> Self {
        Self::start_with("")
    }

    /// Starts a server with more lines of configuration, such as `max_payload: 4096`.
    pub fn start_with(configuration: &str) -> Self {
        let mut nats = Self::stopped(configuration);
        nats.restart();
        nats
    }

    /// A server that is not started yet: its address is known, and refuses connections.
    pub fn stopped(configuration: &str) -> Self {
        Self::stopped_at(port::free(), configuration)
    }

    /// The same on a port.
    pub fn stopped_at(port: u16, configuration: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cqar-nats-").tempdir().unwrap();
        let this = Self { port, folder, server: None };
        this.configure(configuration);
        this
    }

    /// Has the running server take another configuration, which it tells its clients nothing of.
    pub fn reload(&self, configuration: &str) {
        self.configure(configuration);
        let pid = self.server.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args(["-HUP", &pid]).status().unwrap().success());
    }

    fn configure(&self, configuration: &str) {
        let text = format!(
            "listen: \"{}\"\njetstream {{ store_dir: {:?} }}\n{configuration}\n",
            self.address(),
            self.folder.path().join("store").display().to_string()
        );
        std::fs::write(self.folder.path().join("nats.conf"), text).unwrap();
    }

    /// The server's address, `127.0.0.1:<port>`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's URL.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address())
    }

    /// A client of its own.
    pub async fn client(&self) -> Client {
        async_nats::connect(self.url().parse::<ServerAddr>().unwrap()).await.unwrap()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Starts it (again) on its port, with its store, and waits until it answers.
    pub fn restart(&mut self) {
        self.kill();
        let binary = binary();
        let mut server = Command::new(&binary)
            .arg("-c")
            .arg(self.folder.path().join("nats.conf"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; `make setup` installs it", binary.display()));
        let mut lines = BufReader::new(server.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let is_ready =
            lines.by_ref().inspect(|line| said.push(line.clone())).any(|line| line.contains("Server is ready"));
        assert!(is_ready, "the NATS server did not start: {said:#?}");
        // Goes on reading, so that the server never waits for its log; ends with the server.
        thread::spawn(move || lines.for_each(drop));
        self.server = Some(server);
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.venv/bin/nats-server");
    if installed.exists() { installed } else { PathBuf::from("nats-server") }
}
