//! A pooler of transactions before PostgreSQL, as a plain installation has it.

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    port,
    postgres::{Postgres, as_user, unprivileged},
};

/// A running PgBouncer, and the database behind it. Ends with its drop.
pub struct PgBouncer {
    url: String,
    process: Child,
    _folder: TempDir,
    _postgres: Postgres,
}

impl PgBouncer {
    /// Starts one before a new database: in transaction mode, with nothing else configured than where that is.
    pub fn start() -> Self {
        let postgres = Postgres::start();
        let (before, query) = postgres.url().split_once('?').unwrap_or((postgres.url(), ""));
        let (server, database) = before.rsplit_once('/').unwrap();
        let (credentials, address) = server.split_once('@').unwrap();
        let (host, server_port) = address.split_once(':').unwrap();
        let folder = tempfile::Builder::new().prefix("cqar-pgbouncer-").tempdir().unwrap();
        let port = port::free();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("users"), "\"cqar\" \"\"\n").unwrap();
        let config = format!(
            "[databases]\n{database} = host={host} port={server_port}\n[pgbouncer]\nlisten_addr = 127.0.0.1\n\
             listen_port = {port}\nunix_socket_dir =\nauth_type = trust\nauth_file = {}\npool_mode = transaction\n",
            path("users").display()
        );
        std::fs::write(path("pgbouncer.ini"), config).unwrap();
        let user = unprivileged();
        if let Some((uid, gid)) = user {
            for file in [folder.path().to_owned(), path("users"), path("pgbouncer.ini")] {
                std::os::unix::fs::chown(file, Some(uid), Some(gid)).unwrap();
            }
        }
        let mut command = Command::new(binary());
        command.arg("-q").arg(path("pgbouncer.ini")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = as_user(&mut command, user).current_dir("/").spawn().unwrap();
        let this = Self {
            url: format!("{credentials}@127.0.0.1:{port}/{database}?{query}"),
            process,
            _folder: folder,
            _postgres: postgres,
        };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(30), "PgBouncer does not listen");
            std::thread::yield_now();
        }
        this
    }

    /// The URL of the database, through the pooler.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for PgBouncer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `CQAR_TEST_PGBOUNCER` names another one than Debian's.
fn binary() -> std::ffi::OsString {
    std::env::var_os("CQAR_TEST_PGBOUNCER").unwrap_or_else(|| {
        let debian = Path::new("/usr/sbin/pgbouncer");
        assert!(debian.exists(), "no {}: run `make setup`", debian.display());
        debian.into()
    })
}
