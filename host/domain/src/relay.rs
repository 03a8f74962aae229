//! What the relay from the log to the event bus needs of others: memory that outlives it, and the transforms.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use uuid::Uuid;

use crate::event::{LogPosition, LoggedEvent, PortError};

/// One message that an event becomes on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutboundMessage {
    /// Tokens of `[A-Za-z0-9_-]` under the event's own subject, joined by dots; empty for none.
    pub subject_suffix: String,
    /// CloudEvents extension attributes.
    pub attributes: Vec<(String, String)>,
    /// Another body than the event's protobuf.
    pub body: Option<OutboundPayload>,
}

/// A body that a transform made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboundPayload {
    /// Its media type.
    pub content_type: String,
    /// The bytes.
    pub bytes: Bytes,
}

/// Why a transform gave no answer for an event. The relay waits: an event is never dropped for it.
#[derive(Debug, Clone, thiserror::Error)]
#[error("transform {plugin}: {message}")]
pub struct TransformFailure {
    /// Which plugin.
    pub plugin: String,
    /// What it said, or how its call ended.
    pub message: String,
}

/// The transforms that are enabled.
#[async_trait]
pub trait Transforms: Send + Sync {
    /// What each event becomes; no message means that it is dropped. The answers stop at the first failure, and, without one, where they
    /// are as much as is answered at once: the rest is to be asked for again.
    async fn transform(
        &self,
        events: &[LoggedEvent],
        subject_prefix: &str,
    ) -> (Vec<Vec<OutboundMessage>>, Option<TransformFailure>);

    /// Resolves when a transform was swapped, so that one that failed may work now.
    async fn changed(&self);
}

/// What the relay remembers in the database.
#[async_trait]
pub trait RelayStateStore: Send + Sync {
    /// Takes or renews the lease that lets one server alone publish. False while another holds it.
    async fn hold_lease(&self, holder: Uuid, ttl: Duration) -> Result<bool, PortError>;

    /// Gives the lease up, if it is held.
    async fn release_lease(&self, holder: Uuid) -> Result<(), PortError>;

    /// The position after the last event that is known to be on the stream, if any was.
    async fn cursor(&self) -> Result<Option<LogPosition>, PortError>;

    /// Moves the cursor, and forgets the fan-outs before it.
    async fn save_cursor(&self, next: LogPosition) -> Result<(), PortError>;

    /// The messages that an event was split into, if publishing them was begun.
    async fn fan_out(&self, position: LogPosition) -> Result<Option<Bytes>, PortError>;

    /// Remembers the messages that an event is split into, before the first is published: a half-published event is
    /// finished as it was begun, whatever becomes of the transform.
    async fn save_fan_out(&self, position: LogPosition, encoded: Bytes) -> Result<(), PortError>;
}
