//! Answers that leave the server as bytes: they were encoded once, when they were cached, and are only copied since.
//!
//! The generated servers use these in place of the messages that `build.rs` names. Both have the same encoding: all answers of a
//! resolving method have their fields alike, which a test compares.

use ::bytes::{Buf, BufMut, Bytes};
use cqar_domain::entity::Revision;
use prost::{
    DecodeError, Message,
    encoding::{DecodeContext, WireType, bytes, encode_key, encode_varint, encoded_len_varint, int64, key_len, string},
};

use crate::rpc::Status;

/// An answer of a resolving method, such as [`crate::v1::ResolveMarketResponse`], that was encoded without its revision.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EncodedAnswer {
    /// All but the revision.
    pub resolved: Bytes,
    /// The revision that the answer reflects.
    pub revision: Revision,
}

/// The answers of a resolving method to a batch, such as [`crate::v1::BatchResolveMarketsResponse`], each of them encoded.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EncodedBatch {
    /// One for each request.
    pub results: Vec<BatchResult>,
    /// The revision that the answer reflects.
    pub revision: Revision,
}

/// A [`crate::v1::FindMarketsResponse`] whose markets are encoded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FindMarketsResponse {
    /// The instrument's id.
    pub instrument_id: String,
    /// Each an encoded [`crate::v1::Market`].
    pub markets: Vec<Bytes>,
    /// The revision that the answer reflects.
    pub revision: Revision,
}

/// One result of a batch.
#[derive(Debug, Clone, PartialEq)]
pub enum BatchResult {
    /// The encoded answer.
    Resolved(Bytes),
    /// Why there is none.
    Error(Status),
}

/// These types are only ever sent. Prost asks for a decoder all the same.
fn never_received() -> DecodeError {
    #[expect(deprecated, reason = "prost 0.14 has no other way for code outside of it to make this error")]
    DecodeError::new("encoded answers are sent, never received")
}

/// A revision as a field; 0 is left out, as proto3 has it.
fn encode_revision(tag: u32, revision: Revision, buf: &mut impl BufMut) {
    if revision != 0 {
        int64::encode(tag, &revision, buf);
    }
}

fn revision_len(tag: u32, revision: Revision) -> usize {
    if revision == 0 { 0 } else { int64::encoded_len(tag, &revision) }
}

/// The tag of `revision` in each of the answers.
const RESOLVE_REVISION: u32 = 9;
const BATCH_REVISION: u32 = 2;
const FIND_REVISION: u32 = 3;
/// The tags of the other fields of [`FindMarketsResponse`].
const FIND_INSTRUMENT_ID: u32 = 1;
const FIND_MARKETS: u32 = 2;

impl Message for EncodedAnswer {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        buf.put_slice(&self.resolved);
        encode_revision(RESOLVE_REVISION, self.revision, buf);
    }

    fn encoded_len(&self) -> usize {
        self.resolved.len() + revision_len(RESOLVE_REVISION, self.revision)
    }

    fn merge_field(&mut self, _: u32, _: WireType, _: &mut impl Buf, _: DecodeContext) -> Result<(), DecodeError> {
        Err(never_received())
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

impl Message for FindMarketsResponse {
    fn encode_raw(&self, buf: &mut impl BufMut) {
        string::encode(FIND_INSTRUMENT_ID, &self.instrument_id, buf);
        bytes::encode_repeated(FIND_MARKETS, &self.markets, buf);
        encode_revision(FIND_REVISION, self.revision, buf);
    }

    fn encoded_len(&self) -> usize {
        string::encoded_len(FIND_INSTRUMENT_ID, &self.instrument_id)
            + bytes::encoded_len_repeated(FIND_MARKETS, &self.markets)
            + revision_len(FIND_REVISION, self.revision)
    }

    fn merge_field(&mut self, _: u32, _: WireType, _: &mut impl Buf, _: DecodeContext) -> Result<(), DecodeError> {
        Err(never_received())
    }

    fn clear(&mut self) {
        *self = Self::default();
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

impl Message for EncodedBatch {
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
        encode_revision(BATCH_REVISION, self.revision, buf);
    }

    fn encoded_len(&self) -> usize {
        let result_len = |result: &BatchResult| {
            let (field, _) = result.lengths();
            key_len(RESULTS) + encoded_len_varint(field as u64) + field
        };
        self.results.iter().map(result_len).sum::<usize>() + revision_len(BATCH_REVISION, self.revision)
    }

    fn merge_field(&mut self, _: u32, _: WireType, _: &mut impl Buf, _: DecodeContext) -> Result<(), DecodeError> {
        Err(never_received())
    }

    fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::{self, batch_resolve_markets_response::result::Result as Item};

    #[test]
    fn encoded_answers_read_as_the_messages_that_they_stand_for() {
        let venue = v1::Venue { id: "binance".into(), ..Default::default() };
        let answer = v1::ResolveMarketResponse { venue: Some(venue), ..Default::default() };
        let bytes = Bytes::from(answer.encode_to_vec());
        let sent = EncodedAnswer { resolved: bytes.clone(), revision: 300 };
        assert_eq!(sent.encode_to_vec().len(), sent.encoded_len());
        let read = v1::ResolveMarketResponse::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read, v1::ResolveMarketResponse { revision: 300, ..answer.clone() });

        let error = Status { code: 5, message: "x".repeat(300), details: Vec::new() };
        let results =
            vec![BatchResult::Resolved(bytes), BatchResult::Error(error.clone()), BatchResult::Resolved(Bytes::new())];
        let sent = EncodedBatch { results, revision: 7 };
        assert_eq!(sent.encode_to_vec().len(), sent.encoded_len());
        let read = v1::BatchResolveMarketsResponse::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(read.revision, 7);
        let read: Vec<_> = read.results.into_iter().map(|r| r.result.unwrap()).collect();
        let empty = Item::Resolved(v1::ResolveMarketResponse::default());
        assert_eq!(read, [Item::Resolved(answer), Item::Error(error), empty]);
    }

    #[test]
    fn found_markets_read_as_the_message_of_the_same_name() {
        let market = v1::Market { venue_symbol: "BTCUSDT".into(), ..Default::default() };
        let (instrument_id, revision) = ("an-id".to_owned(), 9);
        let markets = vec![market.encode_to_vec().into(), Bytes::new()];
        let sent = FindMarketsResponse { instrument_id: instrument_id.clone(), markets, revision };
        assert_eq!(sent.encode_to_vec().len(), sent.encoded_len());
        let read = v1::FindMarketsResponse::decode(sent.encode_to_vec().as_slice()).unwrap();
        assert_eq!(
            read,
            v1::FindMarketsResponse { instrument_id, markets: vec![market, v1::Market::default()], revision }
        );
    }
}
