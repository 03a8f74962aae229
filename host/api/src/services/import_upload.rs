//! The stream that carries a venue's listing.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use cqar_proto::v1::{self, ErrorReason, import_listing_request::Part};
use cqar_registry::{import::MAX_PAYLOAD_BYTES, request_hash};
use futures::{Stream, StreamExt};
use prost::Message;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tonic::{Code, Status};

use crate::{
    memory::CallMemory,
    status::{invalid, status},
    status_builder::StatusBuilder,
};

/// How long an import waits for its turn. Those before it take a second or two each.
const IMPORT_QUEUE_TIMEOUT: Duration = Duration::from_secs(30);
/// When to try again: an import takes seconds.
const IMPORT_RETRY: Duration = Duration::from_secs(5);
/// How long a payload may take to arrive: 64 MiB at 5 Mbit/s. Whoever is slower keeps others from importing.
const RECEIVE_TIMEOUT: Duration = Duration::from_mins(2);

/// Waits for one of the places that imports take turns at.
pub(super) async fn acquire_import_permit(imports: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Status> {
    // The semaphore is never closed.
    if let Ok(Ok(permit)) = timeout(IMPORT_QUEUE_TIMEOUT, Arc::clone(imports).acquire_owned()).await {
        return Ok(permit);
    }
    let message = "too many imports at the same time; try again later";
    Err(StatusBuilder::new(Code::ResourceExhausted, ErrorReason::TooManyImports, message)
        .retry_after(IMPORT_RETRY)
        .into_status())
}

/// A listing as it was received.
pub(super) struct ImportUpload {
    pub(super) options: v1::ImportListingOptions,
    pub(super) payload: Bytes,
}

impl ImportUpload {
    /// Reads the options, then the chunks.
    pub(super) async fn receive(
        parts: impl Stream<Item = Result<v1::ImportListingRequest, Status>> + Unpin,
        memory: Option<&CallMemory>,
    ) -> Result<Self, Status> {
        if let Ok(read) = timeout(RECEIVE_TIMEOUT, Self::read(parts, memory)).await {
            return read;
        }
        let message = format!("the payload must arrive within {} s", RECEIVE_TIMEOUT.as_secs());
        Err(StatusBuilder::new(Code::DeadlineExceeded, ErrorReason::PayloadTooSlow, message).into_status())
    }

    async fn read(
        mut parts: impl Stream<Item = Result<v1::ImportListingRequest, Status>> + Unpin,
        memory: Option<&CallMemory>,
    ) -> Result<Self, Status> {
        let first = parts.next().await.transpose()?.and_then(|message| message.part);
        let Some(Part::Options(options)) = first else {
            return Err(status(invalid("options", "REQUIRED", "the first message must carry the options")));
        };
        let mut payload = BytesMut::new();
        while let Some(message) = parts.next().await.transpose()? {
            match message.part {
                Some(Part::Chunk(chunk)) if payload.len() + chunk.len() > MAX_PAYLOAD_BYTES => return Err(too_large()),
                Some(Part::Chunk(chunk)) => {
                    memory.map_or(Ok(()), |memory| memory.take_request(payload.len() + chunk.len()))?;
                    payload.extend_from_slice(&chunk);
                }
                Some(Part::Options(_)) => {
                    return Err(status(invalid("options", "REPEATED", "must be in the first message only")));
                }
                None => {
                    return Err(status(invalid(
                        "chunk",
                        "REQUIRED",
                        "every message after the first must carry a chunk",
                    )));
                }
            }
        }
        Ok(Self { options, payload: payload.freeze() })
    }

    /// What tells a repetition of the request from another one: the options without the request's id and `validate_only`,
    /// then the bytes, however they were cut.
    pub(super) fn hash(&self, method: &str) -> Vec<u8> {
        let options =
            v1::ImportListingOptions { request_id: String::new(), validate_only: false, ..self.options.clone() };
        // With its length, so that no options run over into the bytes.
        request_hash(method, [options.encode_length_delimited_to_vec().as_slice(), &self.payload])
    }
}

fn too_large() -> Status {
    let message = format!("the chunks must be at most {MAX_PAYLOAD_BYTES} bytes together");
    StatusBuilder::new(Code::InvalidArgument, ErrorReason::PayloadTooLarge, &message)
        .with_field("chunk", &message)
        .into_status()
}

#[cfg(test)]
mod tests {
    use futures::stream;
    use tonic_types::StatusExt;

    use super::*;

    fn options(venue: &str) -> Part {
        Part::Options(v1::ImportListingOptions { venue_id: venue.into(), ..Default::default() })
    }

    fn chunk(bytes: &'static [u8]) -> Part {
        Part::Chunk(Bytes::from_static(bytes))
    }

    async fn received(parts: Vec<Part>) -> Result<ImportUpload, Status> {
        ImportUpload::receive(
            stream::iter(parts.into_iter().map(|part| Ok(v1::ImportListingRequest { part: Some(part) }))),
            None,
        )
        .await
    }

    async fn refused_field(parts: Vec<Part>) -> String {
        let status = received(parts).await.err().unwrap();
        assert_eq!(status.code(), Code::InvalidArgument);
        status.get_details_bad_request().unwrap().field_violations[0].field.clone()
    }

    #[tokio::test]
    async fn chunks_are_put_together() {
        let upload = received(vec![options("binance"), chunk(b"[1,"), chunk(b"2]")]).await.unwrap();
        assert_eq!((upload.options.venue_id.as_str(), upload.payload.as_ref()), ("binance", b"[1,2]".as_slice()));
    }

    #[tokio::test]
    async fn options_stand_first_and_once() {
        assert_eq!(refused_field(vec![]).await, "options");
        assert_eq!(refused_field(vec![chunk(b"x"), options("binance")]).await, "options");
        assert_eq!(refused_field(vec![options("binance"), options("okx")]).await, "options");
    }

    #[tokio::test]
    async fn a_payload_of_more_than_64_mib_is_refused_before_it_is_read_whole() {
        let mib = Bytes::from(vec![b' '; 1 << 20]);
        let endless = std::iter::once(options("binance")).chain(std::iter::repeat_with(|| Part::Chunk(mib.clone())));
        let parts = stream::iter(endless.map(|part| Ok(v1::ImportListingRequest { part: Some(part) })));
        let status = ImportUpload::receive(parts, None).await.err().unwrap();
        assert_eq!(status.get_details_error_info().unwrap().reason, "PAYLOAD_TOO_LARGE");
        assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "chunk");
    }

    #[tokio::test]
    async fn the_body_leaves_the_id_out_and_nothing_else() {
        let body = async |options: v1::ImportListingOptions, bytes| {
            received(vec![Part::Options(options), chunk(bytes)]).await.unwrap().hash("m")
        };
        let plain = v1::ImportListingOptions { venue_id: "okx".into(), ..Default::default() };
        let with_id = v1::ImportListingOptions { request_id: "x".into(), ..plain.clone() };
        let other = v1::ImportListingOptions { trust_symbols: true, ..plain.clone() };
        assert_eq!(body(plain.clone(), b"[]").await, body(with_id, b"[]").await);
        assert_ne!(body(plain.clone(), b"[]").await, body(other, b"[]").await);
        assert_ne!(body(plain.clone(), b"[]").await, body(plain, b"{}").await);
    }
}
