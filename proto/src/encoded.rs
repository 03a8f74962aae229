//! Answers that leave the server as bytes: they were encoded once, when they were cached, and are only copied since.
//!
//! The generated server of `MarketService` uses these in place of the messages of the same name. Both have the same
//! encoding, which a test compares.

use bytes::{Buf, BufMut, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, encode_key, encode_varint, encoded_len_varint, key_len},
};

use crate::rpc::Status;

/// An encoded [`crate::v1::ResolveMarketResponse`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolveMarketResponse(pub Bytes);

/// A [`crate::v1::BatchResolveMarketsResponse`] whose resolved markets are encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct BatchResolveMarketsResponse {
    /// One for each request.
    pub results: Vec<BatchResult>,
}

/// One result of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchResult {
    /// The encoded [`crate::v1::ResolveMarketResponse`].
    Resolved(Bytes),
    /// Why there is none.
    Error(Status),
}

/// These types are only ever sent. Prost asks for a decoder all the same.
fn never_received() -> DecodeError {
    #[expect(deprecated, reason = "prost 0.14 has no other way for code outside of it to make this error")]
    DecodeError::new("encoded answers are sent, never received")
}

impl Message for ResolveMarketResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.0);
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn merge_field(&mut self, _: u32, _: WireType, _: &mut impl Buf, _: DecodeContext) -> Result<(), DecodeError> {
        Err(never_received())
    }

    fn clear(&mut self) {
        self.0 = Bytes::new();
    }
}

/// The tag of `results` in the batch answer, and of `resolved` and `error` in a result.
const RESULTS: u32 = 1;
const RESOLVED: u32 = 1;
const ERROR: u32 = 2;

impl BatchResult {
    /// The length of the field inside the result, and of the value inside the field.
    fn lengths(&self) -> (usize, usize) {
        let (tag, value) = match self {
            Self::Resolved(bytes) => (RESOLVED, bytes.len()),
            Self::Error(status) => (ERROR, status.encoded_len()),
        };
        (key_len(tag) + encoded_len_varint(value as u64) + value, value)
    }
}

impl Message for BatchResolveMarketsResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        for result in &self.results {
            let (field, value) = result.lengths();
            encode_key(RESULTS, WireType::LengthDelimited, buf);
            encode_varint(field as u64, buf);
            match result {
                BatchResult::Resolved(bytes) => {
                    encode_key(RESOLVED, WireType::LengthDelimited, buf);
                    encode_varint(value as u64, buf);
                    buf.put_slice(bytes);
                }
                BatchResult::Error(status) => {
                    encode_key(ERROR, WireType::LengthDelimited, buf);
                    encode_varint(value as u64, buf);
                    status.encode_raw(buf);
                }
            }
        }
    }

    fn encoded_len(&self) -> usize {
        let result_len = |result: &BatchResult| {
            let (field, _) = result.lengths();
            key_len(RESULTS) + encoded_len_varint(field as u64) + field
        };
        self.results.iter().map(result_len).sum()
    }

    fn merge_field(&mut self, _: u32, _: WireType, _: &mut impl Buf, _: DecodeContext) -> Result<(), DecodeError> {
        Err(never_received())
    }

    fn clear(&mut self) {
        self.results.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{self, batch_resolve_markets_response::result::Result as Item};

    #[test]
    fn encoded_answers_read_as_the_messages_of_the_same_name() {
        let venue = v1::Venue { id: "binance".into(), ..Default::default() };
        let answer = v1::ResolveMarketResponse { venue: Some(venue), ..Default::default() };
        let bytes = Bytes::from(answer.encode_to_vec());
        let sent = ResolveMarketResponse(bytes.clone()).encode_to_vec();
        assert_eq!(v1::ResolveMarketResponse::decode(sent.as_slice()).unwrap(), answer);

        let error = Status { code: 5, message: "x".repeat(300), details: Vec::new() };
        let results =
            vec![BatchResult::Resolved(bytes), BatchResult::Error(error.clone()), BatchResult::Resolved(Bytes::new())];
        let sent = BatchResolveMarketsResponse { results };
        assert_eq!(sent.encode_to_vec().len(), sent.encoded_len());
        let read = v1::BatchResolveMarketsResponse::decode(sent.encode_to_vec().as_slice()).unwrap();
        let read: Vec<_> = read.results.into_iter().map(|r| r.result.unwrap()).collect();
        let empty = Item::Resolved(v1::ResolveMarketResponse::default());
        assert_eq!(read, [Item::Resolved(answer), Item::Error(error), empty]);
    }
}
