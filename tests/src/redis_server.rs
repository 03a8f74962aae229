//! A throwaway Redis that can be killed, paused and started again with what it had.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{certificates::Certificates, port};

/// A Redis of one test. Ends with its drop.
pub struct RedisServer {
    port: u16,
    folder: TempDir,
    server: Child,
    arguments: Vec<String>,
}

impl RedisServer {
    /// Starts a server that keeps every write on disk.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with more arguments, such as `--maxmemory 1mb`.
    pub fn start_with(arguments: &[&str]) -> Self {
        Self::start_at(port::free(), arguments)
    }

    /// The same on a port.
    pub fn start_at(port: u16, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("cqar-redis-").tempdir().unwrap();
        let arguments = [&["--port".to_owned(), port.to_string()], &owned(arguments)[..]].concat();
        let server = spawn(&folder, &arguments);
        Self { port, folder, server, arguments }
    }

    /// A server that speaks TLS alone, and only with clients that have a certificate.
    pub fn start_with_tls(certificates: &Certificates, arguments: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("cqar-redis-").tempdir().unwrap();
        let port = port::free();
        let (cert, key, ca) =
            (certificates.path("server.pem"), certificates.path("server.key"), certificates.path("ca.pem"));
        let tls = ["--port", "0", "--tls-port", &port.to_string(), "--tls-cert-file", &cert, "--tls-key-file", &key];
        let tls = [&tls[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "yes"], arguments].concat();
        let arguments = owned(&tls);
        let server = spawn(&folder, &arguments);
        Self { port, folder, server, arguments }
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A connection of the test's own.
    pub async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(format!("redis://127.0.0.1:{}", self.port)).unwrap();
        client.get_multiplexed_async_connection().await.unwrap()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }

    /// Starts it again after a kill, on the same port and with what it had written.
    pub fn restart(&mut self) {
        self.server = spawn(&self.folder, &self.arguments);
    }

    /// Stops it with SIGSTOP: connections stand, and nothing answers.
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on after a pause.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.server.id().to_string()]).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn owned(arguments: &[&str]) -> Vec<String> {
    arguments.iter().copied().map(str::to_owned).collect()
}

/// Starts a server and returns when it accepts connections.
fn spawn(folder: &TempDir, arguments: &[String]) -> Child {
    let mut server = Command::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", ""])
        .args(["--appendonly", "yes", "--appendfsync", "always", "--dir"])
        .arg(folder.path())
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let mut lines = BufReader::new(server.stdout.take().unwrap()).lines();
    let mut said = Vec::new();
    let mut heard = lines.by_ref().map_while(Result::ok).inspect(|line| said.push(line.clone()));
    let is_ready = heard.any(|line| line.contains("Ready to accept connections"));
    assert!(is_ready, "redis-server ended: {said:#?}");
    // It must be able to go on logging.
    std::thread::spawn(move || lines.for_each(drop));
    server
}
