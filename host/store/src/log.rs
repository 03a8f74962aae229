//! The event log, as it is read.

use std::time::Duration;

use async_trait::async_trait;
use cqar_domain::{
    event::{EventLog, EventType, LogBounds, LogPosition, LoggedEvent, PortError},
    id::{EntityKey, EntityType},
};
use sqlx::{PgPool, postgres::PgListener};
use uuid::Uuid;

use crate::{
    Store,
    database::{Pools, Purpose, Value},
    dialect::LOG_CHANNEL,
    error::Error,
};

const BOUNDS: &str = "SELECT log_id, revision, oldest FROM log_state WHERE id = 1";
const READ: &str = "SELECT revision, idx, type, entity_type, entity_id, venue_id, body FROM event_log \
    WHERE (revision, idx) >= ($1, $2) ORDER BY revision, idx LIMIT $3";

#[derive(sqlx::FromRow)]
pub(crate) struct BoundsRow {
    pub(crate) log_id: Uuid,
    pub(crate) revision: i64,
    pub(crate) oldest: i64,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    revision: i64,
    idx: i32,
    r#type: String,
    entity_type: String,
    entity_id: String,
    venue_id: Option<String>,
    body: Vec<u8>,
}

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

    /// The events from a position on, inclusive, at most `limit`.
    pub async fn read_log(&self, from: LogPosition, limit: u32) -> Result<Vec<LoggedEvent>, Error> {
        let _timer = self.metrics.time("read_log");
        let mut tx = self.database.begin(Purpose::Read).await?;
        let values = vec![Value::Int(from.revision), Value::Index(from.index), Value::Int(limit.into())];
        let rows = tx.all::<EventRow>(READ, values).await?;
        tx.rollback().await;
        rows.into_iter().map(EventRow::read).collect()
    }
}

#[async_trait]
impl EventLog for Store {
    async fn bounds(&self) -> Result<LogBounds, PortError> {
        Ok(self.log_bounds().await?)
    }

    async fn read(&self, from: LogPosition, limit: u32) -> Result<Vec<LoggedEvent>, PortError> {
        Ok(self.read_log(from, limit).await?)
    }

    /// PostgreSQL's NOTIFY. On SQLite, where one server owns the file, and behind a pooler that keeps no session,
    /// nothing comes, and polling finds what others wrote.
    async fn wait_for_append(&self) {
        let Pools::Postgres { read: pool, .. } = &self.database.pools else { return std::future::pending().await };
        let mut listener = self.listener.lock().await;
        if listener.is_none() {
            match listen(pool).await {
                Ok(connected) => *listener = Some(connected),
                Err(error) => {
                    tracing::debug!(%error, "cannot_listen");
                    return tokio::time::sleep(LISTEN_RETRY).await;
                }
            }
        }
        if let Some(connected) = listener.as_mut()
            && connected.recv().await.is_err()
        {
            *listener = None;
        }
    }
}

/// How soon listening is tried again. Until then polling finds what others wrote.
const LISTEN_RETRY: Duration = Duration::from_secs(10);

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(LOG_CHANNEL).await?;
    Ok(listener)
}

impl EventRow {
    fn read(self) -> Result<LoggedEvent, Error> {
        let corrupt = |reason: String| Error::Corrupt { table: "event_log", reason };
        let event_type = EventType::from_name(&self.r#type)
            .ok_or_else(|| corrupt(format!("type: no value named {}", self.r#type)))?;
        let key = EntityType::from_name(&self.entity_type)
            .and_then(|entity_type| EntityKey::parse(entity_type, &self.entity_id).ok())
            .ok_or_else(|| corrupt(format!("entity: {} {}", self.entity_type, self.entity_id)))?;
        let venue = self.venue_id.map(|venue| venue.parse()).transpose();
        Ok(LoggedEvent {
            position: LogPosition { revision: self.revision, index: self.idx },
            event_type,
            key,
            venue: venue.map_err(|error| corrupt(format!("venue_id: {error}")))?,
            body: self.body.into(),
        })
    }
}
