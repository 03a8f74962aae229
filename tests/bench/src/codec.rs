//! Messages as each side needs them: the load sends and takes bytes, so that it costs as little as it can; the floor
//! encodes from where its cache keeps them.

use std::marker::PhantomData;

use bytes::{Buf, BufMut, Bytes};
use http::{Request, Response};
use prost::Message;
use tonic::{
    Status,
    body::Body,
    codec::{DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::{Grpc, UnaryService},
};

/// A message that is sent.
pub(crate) trait Outgoing: Send + Sync + 'static {
    /// Appends its encoding.
    fn encode(&self, buf: &mut impl BufMut);
}

/// A message that is received.
pub(crate) trait Incoming: Send + Sync + Sized + 'static {
    /// Reads it.
    fn decode(buf: impl Buf) -> Result<Self, Status>;
}

impl Outgoing for Bytes {
    fn encode(&self, buf: &mut impl BufMut) {
        buf.put_slice(self);
    }
}

impl Incoming for Bytes {
    fn decode(mut buf: impl Buf) -> Result<Self, Status> {
        Ok(buf.copy_to_bytes(buf.remaining()))
    }
}

impl<M: Message + Default + 'static> Incoming for Box<M> {
    fn decode(buf: impl Buf) -> Result<Self, Status> {
        M::decode(buf).map(Self::new).map_err(|error| Status::invalid_argument(error.to_string()))
    }
}

/// Sends `O` and receives `I`.
pub(crate) struct Codec<O, I>(PhantomData<fn() -> (O, I)>);

impl<O, I> Default for Codec<O, I> {
    fn default() -> Self {
        Self(PhantomData)
    }
}

impl<O: Outgoing, I: Incoming> tonic::codec::Codec for Codec<O, I> {
    type Encode = O;
    type Decode = I;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self::default()
    }

    fn decoder(&mut self) -> Self {
        Self::default()
    }
}

impl<O: Outgoing, I: Incoming> Encoder for Codec<O, I> {
    type Item = O;
    type Error = Status;

    fn encode(&mut self, item: O, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        item.encode(buf);
        Ok(())
    }
}

impl<O: Outgoing, I: Incoming> Decoder for Codec<O, I> {
    type Item = I;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<I>, Status> {
        I::decode(buf).map(Some)
    }
}

/// Answers one call as tonic's generated servers do.
pub(crate) async fn answer<I: Incoming, O: Outgoing>(
    request: Request<Body>,
    handle: impl FnMut(I) -> Result<O, Status>,
) -> Response<Body> {
    Grpc::new(Codec::<O, I>::default()).unary(Handler(handle), request).await
}

struct Handler<F>(F);

impl<I, O, F: FnMut(I) -> Result<O, Status>> UnaryService<I> for Handler<F> {
    type Response = O;
    type Future = std::future::Ready<Result<tonic::Response<O>, Status>>;

    fn call(&mut self, request: tonic::Request<I>) -> Self::Future {
        std::future::ready((self.0)(request.into_inner()).map(tonic::Response::new))
    }
}
