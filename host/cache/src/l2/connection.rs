//! One connection to Redis, and what is said over it. Each exchange is atomic there.
//!
//! Beside the values there is one hash, `tombstones`: `watermark`, the revision through which Redis has seen the log
//! without a gap; the revision of the last change of each key that changed lately; `floor`, the newest revision whose
//! changes may have been forgotten; `base`, the revision at which the hash was begun. It is the tombstones of all keys in
//! one: they are evicted together with the watermark or not at all, and none is missed for having expired while a load
//! took longer.
//!
//! - A value is stored only if its stamp reaches the floor and the last change of its key.
//! - A change removes the value if that is older.
//! - So a value that is there was not changed from its stamp through the watermark, provided that the tombstone hash saw its
//!   whole life: that its stamp reaches the base.
//!
//! Whatever is sent twice, late or from another replica changes nothing, for each script compares revisions. The same
//! is why Redis may come back with an older state of all of it, after a crash.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use cqar_domain::{entity::Revision, event::LogBounds};
use redis::{
    AsyncConnectionConfig, Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    ProtocolVersion, RedisConnectionInfo, RedisResult, Script, TlsCertificates, aio::MultiplexedConnection,
    io::tcp::TcpSettings,
};
use uuid::Uuid;

use super::{
    L2Settings, L2Tls,
    versioned::{Versioned, stored},
};
use crate::{key::Key, l1::configured_ttl};

/// How long the log's follower waits for an answer, and for a connection. Applying a page takes Redis some 3 ms.
const FOLLOWER_TIMEOUT: Duration = Duration::from_secs(1);
/// A tombstone hash that nobody follows goes away. Then it is begun anew.
const TOMBSTONES_TTL: Duration = Duration::from_hours(24 * 7);

/// The watermark and the base.
type WatermarkAndBase = (Option<Revision>, Option<Revision>);

/// A connection to Redis.
pub(super) struct RedisConnection {
    connection: MultiplexedConnection,
    /// `<prefix>:<log id>:`
    prefix: String,
    default_ttl: Duration,
    remembered_changes: u32,
    scripts: Scripts,
}

struct Scripts {
    begin: Script,
    apply: Script,
    put: Script,
}

impl RedisConnection {
    /// Connects.
    pub(super) async fn open(settings: &L2Settings, log_id: Uuid) -> RedisResult<Self> {
        let mut access =
            RedisConnectionInfo::default().set_db(settings.database.into()).set_protocol(ProtocolVersion::RESP2);
        if let Some(username) = &settings.username {
            access = access.set_username(username);
        }
        if let Some(password) = &settings.password {
            access = access.set_password(password);
        }
        let (host, port) = (settings.host.clone(), settings.port);
        let server = match &settings.tls {
            None => ConnectionAddr::Tcp(host, port),
            Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
        };
        let server = server
            .into_connection_info()?
            .set_tcp_settings(TcpSettings::default().set_nodelay(true))
            .set_redis_settings(access);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(FOLLOWER_TIMEOUT))
            .set_response_timeout(Some(FOLLOWER_TIMEOUT));
        Ok(Self {
            connection: client(server, settings.tls.as_ref())
                .await?
                .get_multiplexed_async_connection_with_config(&config)
                .await?,
            prefix: format!("{}:{log_id}:", settings.key_prefix),
            default_ttl: settings.default_ttl,
            remembered_changes: settings.remembered_changes,
            scripts: Scripts {
                begin: Script::new(include_str!("scripts/begin.lua")),
                apply: Script::new(include_str!("scripts/apply.lua")),
                put: Script::new(include_str!("scripts/put.lua")),
            },
        })
    }

    /// Makes sure that there is a tombstone hash, and returns its watermark.
    pub(super) async fn begin(&self, log: LogBounds) -> RedisResult<Revision> {
        let mut call = self.scripts.begin.key(self.tombstones());
        call.arg(log.newest).arg(log.oldest).arg(millis(TOMBSTONES_TTL));
        call.invoke_async(&mut self.connection.clone()).await
    }

    /// Applies changes that follow on the watermark `from`, and lead to `through`. Returns the watermark then, which is
    /// below `from` if Redis fell back, and then nothing was applied; none if there is no tombstone hash.
    pub(super) async fn apply(
        &self,
        from: Revision,
        through: Revision,
        changes: &[(Key, Revision)],
    ) -> RedisResult<Option<Revision>> {
        let mut call = self.scripts.apply.key(self.tombstones());
        call.arg(from).arg(through).arg(self.remembered_changes).arg(millis(TOMBSTONES_TTL));
        for (key, revision) in changes {
            call.key(self.name(key)).arg(*revision);
        }
        call.invoke_async(&mut self.connection.clone()).await
    }

    /// Stores values with the revisions that they were read at, where they are newer. False if there is no tombstone hash.
    pub(super) async fn put<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a Key, &'a Bytes, Revision)>,
    ) -> RedisResult<bool> {
        let mut call = self.scripts.put.key(self.tombstones());
        for (key, bytes, revision) in values {
            let ttl = configured_ttl(key.ttl(), self.default_ttl).max(Duration::from_millis(1));
            call.key(self.name(key)).arg(stored(bytes, revision).as_ref()).arg(millis(ttl));
        }
        let stored: Option<u64> = call.invoke_async(&mut self.connection.clone()).await?;
        Ok(stored.is_some())
    }

    /// The values of the keys, in order; none at all if there is no tombstone hash.
    pub(super) async fn get(&self, keys: &[Key]) -> RedisResult<Option<Vec<Option<Versioned>>>> {
        let mut call = redis::pipe();
        call.atomic().cmd("HMGET").arg(self.tombstones()).arg(&["watermark", "base"]).cmd("MGET");
        for key in keys {
            call.arg(self.name(key));
        }
        let (tombstones, values): (WatermarkAndBase, Vec<Option<Vec<u8>>>) =
            call.query_async(&mut self.connection.clone()).await?;
        let (Some(watermark), Some(base)) = tombstones else {
            return Ok(None);
        };
        let read = |value: Option<Vec<u8>>| {
            value.and_then(|it| Versioned::read(&it.into(), watermark)).filter(|it| it.valid_from >= base)
        };
        Ok(Some(values.into_iter().map(read).collect()))
    }

    fn tombstones(&self) -> String {
        format!("{}tombstones", self.prefix)
    }

    fn name(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }
}

async fn client(server: ConnectionInfo, tls: Option<&L2Tls>) -> RedisResult<Client> {
    let Some(tls) = tls else { return Client::open(server) };
    let root_cert = match &tls.ca_file {
        Some(file) => Some(read(file).await?),
        None => None,
    };
    let client_tls = match &tls.client {
        Some((cert, key)) => Some(ClientTlsConfig { client_cert: read(cert).await?, client_key: read(key).await? }),
        None => None,
    };
    Client::build_with_tls(server, TlsCertificates { client_tls, root_cert })
}

async fn read(file: &Path) -> RedisResult<Vec<u8>> {
    tokio::fs::read(file).await.map_err(|error| {
        (ErrorKind::InvalidClientConfig, "a file of TLS", format!("{}: {error}", file.display())).into()
    })
}

fn millis(duration: Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}
