//! What the relay remembers: its lease, its cursor, and the fan-outs that it began.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cqar_domain::{
    event::{LogPosition, PortError},
    relay::RelayStateStore,
};
use uuid::Uuid;

use crate::{
    Store,
    database::{Purpose, Row},
    error::Error,
    from_row::from_row,
    value::Value,
};

/// Taken where it is free, expired, or one's own.
const HOLD_LEASE: &str = "INSERT INTO relay_lease (id, holder, expire_us) VALUES (1, $1, $2) \
    ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, expire_us = excluded.expire_us \
    WHERE relay_lease.holder = excluded.holder OR relay_lease.expire_us <= $3";
const RELEASE_LEASE: &str = "DELETE FROM relay_lease WHERE holder = $1";
const CURSOR: &str = "SELECT revision, idx FROM relay_cursor WHERE id = 1 AND log_id = $1";
const SAVE_CURSOR: &str = "INSERT INTO relay_cursor (id, revision, idx, log_id) VALUES (1, $1, $2, $3) \
    ON CONFLICT (id) DO UPDATE SET revision = excluded.revision, idx = excluded.idx, log_id = excluded.log_id";
const DROP_FAN_OUTS: &str = "DELETE FROM relay_fan_outs WHERE (revision, idx) < ($1, $2)";
const FAN_OUT: &str = "SELECT messages FROM relay_fan_outs WHERE revision = $1 AND idx = $2 AND log_id = $3";
// One of another log with this place was of a log that is gone.
const SAVE_FAN_OUT: &str = "INSERT INTO relay_fan_outs (revision, idx, messages, log_id) VALUES ($1, $2, $3, $4) \
    ON CONFLICT (revision, idx) DO UPDATE SET messages = excluded.messages, log_id = excluded.log_id \
    WHERE relay_fan_outs.log_id IS DISTINCT FROM excluded.log_id";

struct CursorRow {
    revision: i64,
    idx: i32,
}

from_row!(CursorRow { revision, idx });

struct FanOutRow {
    messages: Vec<u8>,
}

from_row!(FanOutRow { messages });

impl Store {
    /// A short transaction of its own, which waits for no other writer's turn: the relay's memory is no part of the registry's
    /// state.
    async fn relay_write(&self, statements: Vec<(&'static str, Vec<Value>)>) -> Result<u64, Error> {
        let _timer = self.metrics.time("relay_memory");
        let mut tx = self.database.begin(Purpose::Relay).await?;
        let mut changed = 0;
        for (sql, values) in statements {
            changed += tx.execute(sql, values).await?;
        }
        tx.commit().await?;
        Ok(changed)
    }

    /// The log that the memory is of: a restored database has another one, of which nothing is remembered.
    async fn of_log(&self) -> Result<Value, Error> {
        let log_id = self.log_id.get_or_try_init(async || Ok::<_, Error>(self.log_bounds().await?.log_id)).await?;
        Ok(Value::Uuid(*log_id))
    }

    async fn relay_read<R: Row>(&self, sql: &str, values: Vec<Value>) -> Result<Option<R>, Error> {
        let _timer = self.metrics.time("relay_memory");
        let mut tx = self.database.begin(Purpose::Relay).await?;
        let row = tx.first::<R>(sql, values).await?;
        tx.rollback().await;
        Ok(row)
    }
}

#[async_trait]
impl RelayStateStore for Store {
    async fn hold_lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, PortError> {
        let now = self.clock.now();
        let expire = now.plus_seconds(i64::try_from(ttl.as_secs().max(1)).unwrap_or(i64::MAX));
        let values = vec![Value::Uuid(holder), Value::Int(expire.micros()), Value::Int(now.micros())];
        Ok(self.relay_write(vec![(HOLD_LEASE, values)]).await? > 0)
    }

    async fn release_lease(&self, holder: Uuid) -> Result<(), PortError> {
        self.relay_write(vec![(RELEASE_LEASE, vec![Value::Uuid(holder)])]).await?;
        Ok(())
    }

    async fn cursor(&self) -> Result<Option<LogPosition>, PortError> {
        let row = self.relay_read::<CursorRow>(CURSOR, vec![self.of_log().await?]).await?;
        Ok(row.map(|row| LogPosition { revision: row.revision, index: row.idx }))
    }

    async fn save_cursor(&self, next: LogPosition) -> Result<(), PortError> {
        let position = vec![Value::Int(next.revision), Value::Index(next.index)];
        let cursor = [position.clone(), vec![self.of_log().await?]].concat();
        self.relay_write(vec![(SAVE_CURSOR, cursor), (DROP_FAN_OUTS, position)]).await?;
        Ok(())
    }

    async fn fan_out(&self, position: LogPosition) -> Result<Option<Bytes>, PortError> {
        let values = vec![Value::Int(position.revision), Value::Index(position.index), self.of_log().await?];
        let row = self.relay_read::<FanOutRow>(FAN_OUT, values).await?;
        Ok(row.map(|row| row.messages.into()))
    }

    async fn save_fan_out(&self, position: LogPosition, encoded: Bytes) -> Result<(), PortError> {
        let of_log = self.of_log().await?;
        let values =
            vec![Value::Int(position.revision), Value::Index(position.index), Value::Bytes(encoded.to_vec()), of_log];
        self.relay_write(vec![(SAVE_FAN_OUT, values)]).await?;
        Ok(())
    }
}
