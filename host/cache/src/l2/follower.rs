//! Applies the log to Redis, in order and without a gap.

use std::time::Duration;

use cqar_domain::{
    entity::Revision,
    event::{EventLog, LogBounds, LogPage, LogPosition, PortError},
};
use redis::RedisError;

use super::connection::RedisConnection;
use crate::key::{UnreadableEvent, changed_keys};

/// Events read and applied at once: some 1,000 keys, with which Redis is busy for some 3 ms.
const PAGE_EVENTS: u32 = 256;

/// Why Redis does not follow the log.
#[derive(Debug, thiserror::Error)]
pub(super) enum FollowError {
    #[error("the event log cannot be read: {0}")]
    Log(#[from] PortError),
    #[error(transparent)]
    Unreadable(#[from] UnreadableEvent),
    #[error("Redis: {0}")]
    Redis(RedisError),
    #[error(
        "Redis runs in cluster mode, which this cache does not use: name a server of its own, or turn the cache off ({0})"
    )]
    ClusterMode(RedisError),
    #[error("Redis took longer than {} ms to answer a read", .0.as_millis())]
    Slow(Duration),
    #[error("Redis has lost what it knew")]
    TombstonesLost,
    #[error("Redis last saw revision {watermark}, and the log begins after it")]
    LogCompacted { watermark: Revision },
    #[error("Redis has seen revision {watermark}, and the log ends at {newest}: a restored log needs a new id")]
    LogBehind { watermark: Revision, newest: Revision },
    #[error("a call to Redis failed or took too long: {0}")]
    Withdrawn(String),
}

impl From<RedisError> for FollowError {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some("MOVED" | "ASK" | "CROSSSLOT" | "CLUSTERDOWN") => Self::ClusterMode(error),
            _ => Self::Redis(error),
        }
    }
}

/// Follows the log on behalf of one connection.
pub(super) struct Follower<'a> {
    connection: &'a RedisConnection,
    log: &'a dyn EventLog,
    /// Where Redis is, as it last said.
    watermark: Revision,
    /// Where to read on: after the watermark, or further within the revision after it.
    next: LogPosition,
}

impl<'a> Follower<'a> {
    /// Begins where Redis is, or anew at the log's end if it knows of nothing or the log no longer reaches back.
    pub(super) async fn begin(
        connection: &'a RedisConnection,
        log: &'a dyn EventLog,
        bounds: LogBounds,
    ) -> Result<Self, FollowError> {
        let watermark = connection.begin(bounds).await?;
        // Another replica may be ahead of the bounds that were read before.
        if watermark > bounds.newest {
            let newest = log.bounds().await?.newest;
            if watermark > newest {
                return Err(FollowError::LogBehind { watermark, newest });
            }
        }
        Ok(Self { connection, log, watermark, next: LogPosition::start_of(watermark + 1) })
    }

    /// Applies the log to its end, and returns the watermark. Asks Redis even if there is nothing new, and so finds out
    /// whether it still is where it was.
    pub(super) async fn catch_up(&mut self) -> Result<Revision, FollowError> {
        loop {
            let LogPage { events: page, has_more } = self.log.read(self.next, PAGE_EVENTS).await?;
            // Revisions have no gaps. One that was begun may have ended with the page before.
            let begun = self.next.revision - i64::from(self.next.index == 0);
            if page.first().is_some_and(|first| first.position.revision > begun + 1) {
                return Err(FollowError::LogCompacted { watermark: self.watermark });
            }
            // A page may end within a revision. What it holds of that one is applied, the rest awaited.
            let through = page.last().map_or(begun, |last| last.position.revision - i64::from(has_more));
            let mut changes = Vec::new();
            for event in &page {
                changes.extend(changed_keys(event)?.into_iter().map(|key| (key, event.position.revision)));
            }
            let reached =
                self.connection.apply(self.watermark, through, &changes).await?.ok_or(FollowError::TombstonesLost)?;
            let fell_back = reached < self.watermark;
            self.watermark = reached;
            let follows = LogPosition::start_of(reached + 1);
            self.next = match page.last() {
                Some(last) if !fell_back => last.position.next().max(follows),
                _ => follows,
            };
            if !has_more && !fell_back {
                return Ok(reached);
            }
        }
    }
}
