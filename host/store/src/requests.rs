//! What a write remembers besides entities: answered requests, and how far each venue was imported.

use bytes::Bytes;
use cqar_domain::{
    entity::Revision,
    id::{Segment, VenueId},
    time::Timestamp,
};
use uuid::Uuid;

use crate::{error::Error, from_row::from_row, snapshot::Snapshot, value::Value, write::WriteTransaction};

/// Which request it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Who asked.
    pub actor: String,
    /// The full gRPC method.
    pub method: String,
    /// The client's id of it.
    pub request_id: Uuid,
}

/// A request that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// A hash of the request's canonical encoding without the id.
    pub body_hash: Vec<u8>,
    /// The revision that the answer reflects.
    pub revision: Revision,
    /// The encoded answer, or what is kept of it.
    pub answer: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
}

const FIND_REQUEST: &str = "SELECT body_hash, revision, answer, is_whole FROM idempotent_requests \
    WHERE actor = $1 AND method = $2 AND request_id = $3 AND expire_us > $4";
const SAVE_REQUEST: &str = "INSERT INTO idempotent_requests (actor, method, request_id, body_hash, revision, answer, is_whole, expire_us) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (actor, method, request_id) DO UPDATE SET \
    body_hash = excluded.body_hash, revision = excluded.revision, answer = excluded.answer, \
    is_whole = excluded.is_whole, expire_us = excluded.expire_us";
/// A few at a time, with every request that is kept: the table never grows by more than what a day brings.
const DROP_EXPIRED: &str = "DELETE FROM idempotent_requests WHERE expire_us <= \
    (SELECT MAX(expire_us) FROM (SELECT expire_us FROM idempotent_requests WHERE expire_us <= $1 ORDER BY expire_us LIMIT 16) AS oldest)";
const IMPORT_WATERMARK: &str = "SELECT observed_us FROM import_watermarks WHERE venue_id = $1 AND segment = $2";

struct RequestRow {
    body_hash: Vec<u8>,
    revision: i64,
    answer: Vec<u8>,
    is_whole: bool,
}

from_row!(RequestRow { body_hash, revision, answer, is_whole });

struct WatermarkRow {
    observed_us: i64,
}

from_row!(WatermarkRow { observed_us });

impl Snapshot {
    /// What the request was answered, if it was and is still remembered.
    pub async fn idempotency_record(
        &mut self,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<Option<IdempotencyRecord>, Error> {
        let _timer = self.metrics.time("find_request");
        let values = vec![
            Value::Text(key.actor.clone()),
            Value::Text(key.method.clone()),
            Value::Uuid(key.request_id),
            Value::Int(now.micros()),
        ];
        let row = self.tx.first::<RequestRow>(FIND_REQUEST, values).await?;
        Ok(row.map(|row| IdempotencyRecord {
            body_hash: row.body_hash,
            revision: row.revision,
            answer: row.answer.into(),
            is_whole: row.is_whole,
        }))
    }

    /// The newest moment of which a listing of the segment was imported.
    pub async fn import_watermark(&mut self, venue: &VenueId, segment: &Segment) -> Result<Option<Timestamp>, Error> {
        let _timer = self.metrics.time("import_watermark");
        let values = vec![Value::Text(venue.to_string()), Value::Text(segment.to_string())];
        let row = self.tx.first::<WatermarkRow>(IMPORT_WATERMARK, values).await?;
        let read = row.map(|row| Timestamp::from_micros(row.observed_us)).transpose();
        read.map_err(|error| Error::Corrupt { table: "import_watermarks", reason: error.to_string() })
    }
}

impl WriteTransaction {
    /// Remembers what the request is answered until it expires, and forgets some that have.
    pub async fn save_request(
        &mut self,
        key: &IdempotencyKey,
        answered: &IdempotencyRecord,
        now: Timestamp,
        expire: Timestamp,
    ) -> Result<(), Error> {
        let _timer = self.snapshot.metrics.time("save_request");
        self.snapshot.tx.execute(DROP_EXPIRED, vec![Value::Int(now.micros())]).await?;
        let values = vec![
            Value::Text(key.actor.clone()),
            Value::Text(key.method.clone()),
            Value::Uuid(key.request_id),
            Value::Bytes(answered.body_hash.clone()),
            Value::Int(answered.revision),
            Value::Bytes(answered.answer.to_vec()),
            Value::Bool(answered.is_whole),
            Value::Int(expire.micros()),
        ];
        self.snapshot.tx.execute(SAVE_REQUEST, values).await.map(drop)
    }
}
