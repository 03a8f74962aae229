//! The event log, as it is read.

use std::time::Duration;

use async_trait::async_trait;
use cqar_domain::{
    entity::Revision,
    event::{EventLog, LogBounds, LogPage, LogPosition, PortError},
};
use sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::{
    Store,
    database::{Pools, Purpose},
    dialect::LOG_CHANNEL,
    error::Error,
    from_row::from_row,
    log_block::{BlockRow, block_start},
    value::Value,
};

const BOUNDS: &str = "SELECT log_id, revision, oldest FROM log_state WHERE id = 1";
const READ: &str = "SELECT revision, idx, is_compressed, events FROM event_log \
    WHERE (revision, idx) >= ($1, $2) ORDER BY revision, idx LIMIT $3";

pub(crate) struct BoundsRow {
    pub(crate) log_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) oldest: i64,
}

from_row!(BoundsRow { log_id, revision, oldest });

impl Store {
    /// Which log it is, and what it holds.
    pub async fn log_bounds(&self) -> Result<LogBounds, Error> {
        let _timer = self.metrics.time("log_bounds");
        let mut tx = self.database.begin(Purpose::Read).await?;
        let row = tx.first::<BoundsRow>(BOUNDS, Vec::new()).await?;
        tx.rollback().await;
        let row = row.ok_or_else(|| Error::Corrupt { table: "log_state", reason: "has no row".to_owned() })?;
        Ok(LogBounds { log_id: row.log_id, oldest: row.oldest, newest: row.revision })
    }

    /// A page of the events from a position on, inclusive: at most `limit`, and no more after [`MAX_PAGE_BYTES`] of them.
    pub async fn read_log(&self, from: LogPosition, limit: u32) -> Result<LogPage, Error> {
        let _timer = self.metrics.time("read_log");
        let mut tx = self.database.begin(Purpose::Read).await?;
        let (mut events, mut next, limit) = (Vec::new(), block_start(from), limit as usize);
        let (mut bytes, mut has_more) = (0, true);
        while has_more && events.len() < limit && bytes < MAX_PAGE_BYTES {
            // A row has one event at least.
            let rows = (limit - events.len()).min(ROWS_AT_ONCE);
            let at_most = Value::Int(i64::try_from(rows).unwrap_or(i64::MAX));
            let values = vec![Value::Int(next.revision), Value::Index(next.index), at_most];
            let mut blocks = tx.all::<BlockRow>(READ, values).await?.into_iter();
            has_more = blocks.len() == rows;
            for block in blocks.by_ref() {
                next = block.next();
                let found = block.read()?.into_iter().filter(|event| event.position >= from);
                events.extend(found.inspect(|event| bytes += event.body.len()));
                if events.len() >= limit || bytes >= MAX_PAGE_BYTES {
                    break;
                }
            }
            has_more |= blocks.len() > 0;
        }
        tx.rollback().await;
        has_more |= events.len() > limit;
        events.truncate(limit);
        Ok(LogPage { events, has_more })
    }
}

/// The most rows that one statement reads: they are in memory together, however large they are.
const ROWS_AT_ONCE: usize = 16;

/// The bytes of events after which a page of the log is full.
pub const MAX_PAGE_BYTES: usize = 4 << 20;

#[async_trait]
impl EventLog for Store {
    async fn bounds(&self) -> Result<LogBounds, PortError> {
        Ok(self.log_bounds().await?)
    }

    async fn read(&self, from: LogPosition, limit: u32) -> Result<LogPage, PortError> {
        Ok(self.read_log(from, limit).await?)
    }

    /// PostgreSQL's NOTIFY. On SQLite, where one server owns the file, and behind a pooler that keeps no session,
    /// nothing comes, and polling finds what others wrote.
    async fn wait_for_append(&self) -> Option<Revision> {
        let Pools::Postgres { listen: options, .. } = &self.database.pools else { return std::future::pending().await };
        let mut listener = self.listener.lock().await;
        loop {
            // Taken out while it is used: whatever goes wrong, a broken one is not used again.
            let connected = match listener.take() {
                Some(connected) => Ok(connected),
                None => within(LISTEN_DEADLINE, listen(options)).await,
            };
            let mut connected = match connected {
                Ok(connected) => connected,
                Err(error) => {
                    tracing::debug!(%error, "cannot_listen");
                    sleep(LISTEN_RETRY).await;
                    return None;
                }
            };
            match timeout(LISTEN_CHECK, connected.try_recv()).await {
                Ok(Ok(Some(told))) => {
                    *listener = Some(connected);
                    return told.payload().parse().ok();
                }
                // What was written meanwhile is found by looking.
                Ok(Ok(None) | Err(_)) => {
                    sleep(LISTEN_PAUSE).await;
                    return None;
                }
                // Silence is the rule where nobody writes; or the connection is gone, and nobody said so.
                Err(_) => match within(LISTEN_DEADLINE, check(&mut connected)).await {
                    Ok(()) => *listener = Some(connected),
                    Err(error) => {
                        tracing::debug!(%error, "listener_lost");
                        return None;
                    }
                },
            }
        }
    }
}

/// How soon listening is tried again. Until then polling finds what others wrote.
const LISTEN_RETRY: Duration = Duration::from_secs(10);
/// The pause after a connection was lost: one that is lost as soon as it is made must not be made without end.
const LISTEN_PAUSE: Duration = Duration::from_secs(1);
/// How long connecting, and the answer to a check, may take.
const LISTEN_DEADLINE: Duration = Duration::from_secs(5);
/// After how much silence the connection is checked.
const LISTEN_CHECK: Duration = Duration::from_secs(30);

/// What a connection of one's own is known by: a pooler refuses the option, or passes it to no server.
const OWN_CONNECTION: &str = "cqar.listener";

/// Listens on a connection of its own: one that breaks takes no other's place. Through a pooler of transactions nobody may listen:
/// what is told would go to whoever has the server's connection then, and break that.
async fn listen(options: &PgConnectOptions) -> Result<PgListener, sqlx::Error> {
    let id = Uuid::now_v7().to_string();
    let options = options.clone().options([(OWN_CONNECTION, id.as_str())]);
    let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
    let mut listener = PgListener::connect_with(&pool).await?;
    let setting = sqlx::query_scalar("SELECT current_setting($1, true)").bind(OWN_CONNECTION).persistent(false);
    let found: Option<String> = setting.fetch_one(&mut listener).await?;
    if found.as_deref() != Some(id.as_str()) {
        return Err(sqlx::Error::Configuration("a pooler keeps no session: the log is polled".into()));
    }
    // An error instead of a new connection that is made without a deadline.
    listener.eager_reconnect(false);
    listener.listen(LOG_CHANNEL).await?;
    Ok(listener)
}

async fn check(listener: &mut PgListener) -> Result<(), sqlx::Error> {
    sqlx::raw_sql("SELECT 1").execute(listener).await.map(drop)
}

async fn within<T>(limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    match timeout(limit, work).await {
        Ok(outcome) => Ok(outcome?),
        Err(_) => Err(Error::Deadline { limit }),
    }
}
