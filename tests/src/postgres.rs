//! A throwaway PostgreSQL from the local binaries, or a database on the server that `CQAR_TEST_DATABASE_URL` names.

use std::{
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tempfile::TempDir;
use uuid::Uuid;

use crate::{
    certificates::{CLIENT, Certificates},
    port,
};

/// A database of one test. Its cluster ends with the last of its databases.
pub struct Postgres {
    url: String,
    _cluster: Option<Arc<Cluster>>,
}

/// The password of the user `cqar`, where one is asked for.
pub const PASSWORD: &str = "s3cret";

/// Tests that run at the same time share it: to make one takes seconds where the disk is slow.
struct Cluster {
    url: String,
    stop: Command,
    _folder: TempDir,
}

static RUNNING: Mutex<Weak<Cluster>> = Mutex::new(Weak::new());

impl Postgres {
    /// A new database: on a cluster in a temporary folder, unless `CQAR_TEST_DATABASE_URL` names one.
    pub fn start() -> Self {
        if let Ok(url) = std::env::var("CQAR_TEST_DATABASE_URL") {
            return Self { url: new_database(&url, ""), _cluster: None };
        }
        let cluster = Cluster::running();
        Self { url: new_database(&cluster.url, ""), _cluster: Some(cluster) }
    }

    /// A database on a cluster of its own, on a port (or a free one), that takes TLS alone: user `cqar` with the password [`PASSWORD`],
    /// and the user of the client's certificate with that and nothing else.
    pub fn start_with_tls(certificates: &Certificates, port: Option<u16>) -> Self {
        let cluster = Cluster::start_with(port.unwrap_or_else(port::free), Some(certificates));
        let name = format!("CREATE USER {CLIENT} SUPERUSER");
        run(Command::new("psql").arg(&cluster.url).args(["-qc", &name]));
        Self { url: new_database(&cluster.url, ""), _cluster: Some(Arc::new(cluster)) }
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        let path = self.url.split_once('?').map_or(self.url.as_str(), |(path, _)| path);
        path.rsplit_once('/').unwrap().1
    }

    /// What a query answers, its lines and columns as `psql` prints them unaligned.
    pub fn query(&self, sql: &str) -> String {
        let answered = Command::new("psql").arg(&self.url).args(["-Atqc", sql]).output().unwrap();
        assert!(answered.status.success(), "{}", String::from_utf8_lossy(&answered.stderr));
        String::from_utf8_lossy(&answered.stdout).trim().to_owned()
    }

    /// A new database whose tables are in that folder; what the server itself needs to live is elsewhere.
    pub fn start_in(folder: &Path) -> Self {
        if let Some((uid, gid)) = unprivileged() {
            std::os::unix::fs::chown(folder, Some(uid), Some(gid)).unwrap();
        }
        let cluster = Cluster::running();
        let name = format!("cqar_space_{}", Uuid::now_v7().simple());
        let create = format!("CREATE TABLESPACE {name} LOCATION '{}'", folder.display());
        run(Command::new("psql").arg(&cluster.url).args(["-qc", &create]));
        Self { url: new_database(&cluster.url, &format!(" TABLESPACE {name}")), _cluster: Some(cluster) }
    }

    /// The host and the port.
    pub fn address(&self) -> String {
        let (_, rest) = self.url.split_once('@').unwrap();
        rest.split_once('/').unwrap().0.to_owned()
    }

    /// The URL of the same database by another port, such as a proxy's.
    pub fn url_at(&self, port: u16) -> String {
        self.url.replace(&self.address(), &format!("127.0.0.1:{port}"))
    }

    /// Ends the connections of servers to this database of which a condition is true, and waits until they are gone; says how many.
    pub fn terminate(&self, condition: &str) -> usize {
        let end = format!(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND application_name = 'cqar' AND {condition}"
        );
        let ended = Command::new("psql").arg(&self.url).args(["-Atqc", &end]).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).lines().filter(|line| *line == "t").count()
    }

    /// The database's URL.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Cluster {
    fn running() -> Arc<Self> {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.upgrade().unwrap_or_else(|| {
            let cluster = Arc::new(Self::start_with(port::free(), None));
            *running = Arc::downgrade(&cluster);
            cluster
        })
    }

    fn start_with(port: u16, certificates: Option<&Certificates>) -> Self {
        let binaries = binaries();
        let folder = tempfile::Builder::new().prefix("cqar-pg-").tempdir().unwrap();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            std::os::unix::fs::chown(folder.path(), Some(uid), Some(gid)).unwrap();
        }
        let data = folder.path().join("data");
        let mut initdb = Command::new(binaries.join("initdb"));
        initdb.args(["-U", "cqar", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync", "-D"]).arg(&data);
        let password = folder.path().join("password");
        std::fs::write(&password, PASSWORD).unwrap();
        initdb.arg("--pwfile").arg(&password);
        run(as_user(&mut initdb, user).current_dir(folder.path()));
        let mut options = format!("-p {port} -c max_connections=300 -c unix_socket_directories=");
        // By the second it is not who its certificate says.
        options += if certificates.is_some() {
            " -c listen_addresses=127.0.0.1,127.0.0.2"
        } else {
            " -c listen_addresses=127.0.0.1"
        };
        let query = if certificates.is_some() { "sslmode=require" } else { "sslmode=disable" };
        if let Some(certificates) = certificates {
            let key = certificates.server_key_in(folder.path(), user);
            let (cert, ca) = (certificates.path("server.pem"), certificates.path("ca.pem"));
            let tls =
                format!(" -c ssl=on -c ssl_cert_file={cert} -c ssl_ca_file={ca} -c ssl_key_file={}", key.display());
            options += &tls;
            let rules = format!(
                "hostssl all {CLIENT} 127.0.0.0/8 cert\nhostssl all all 127.0.0.0/8 scram-sha-256\nhostnossl all all all reject\n"
            );
            std::fs::write(data.join("pg_hba.conf"), rules).unwrap();
        }
        let mut pg_ctl = Command::new(binaries.join("pg_ctl"));
        pg_ctl
            .args(["-w", "-s", "-o", &options, "-l"])
            .arg(folder.path().join("log"))
            .arg("-D")
            .arg(&data)
            .arg("start");
        run(as_user(&mut pg_ctl, user).current_dir(folder.path()));
        let mut stop = Command::new(binaries.join("pg_ctl"));
        stop.args(["-m", "immediate", "-s", "-D"]).arg(&data).arg("stop");
        as_user(&mut stop, user).current_dir("/");
        let url = format!("postgres://cqar:{PASSWORD}@127.0.0.1:{port}/postgres?{query}");
        Self { url, stop, _folder: folder }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Immediately: nothing of it is kept.
        let _ = self.stop.stdin(Stdio::null()).stdout(Stdio::null()).status();
    }
}

fn new_database(server: &str, options: &str) -> String {
    let name = format!("cqar_test_{}", Uuid::now_v7().simple());
    run(Command::new("psql").arg(server).args(["-qc", &format!("CREATE DATABASE {name}{options}")]));
    let (base, query) = server.split_once('?').unwrap_or((server, ""));
    let base = base.rsplit_once('/').map_or(base, |(base, _)| base);
    format!("{base}/{name}?{query}")
}

/// Debian keeps the server's binaries out of the PATH.
fn binaries() -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions.map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max();
    newest.unwrap_or_else(|| Path::new("/usr/bin").to_owned())
}

/// PostgreSQL refuses to run as root: as root, run it as the user that the package made, else as nobody.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    let id = Command::new("id").arg("-u").output().unwrap();
    if id.stdout.trim_ascii() != b"0" {
        return None;
    }
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap();
    let entry = |name: &str| {
        let line = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    };
    Some(entry("postgres").or_else(|| entry("nobody")).expect("a user to run PostgreSQL as"))
}

pub(crate) fn as_user(command: &mut Command, user: Option<(u32, u32)>) -> &mut Command {
    match user {
        Some((uid, gid)) => command.uid(uid).gid(gid),
        None => command,
    }
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
