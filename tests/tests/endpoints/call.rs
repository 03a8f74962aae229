//! Calls of any method, with requests and answers in JSON.

use cqar_tests::server::Server;
use futures::{StreamExt, TryStreamExt, stream};
use prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use serde_json::{Value, json};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Channel,
};

/// The key of the caller that makes the calls, and its name.
pub const KEY: &str = "key-of-alice";
pub const ACTOR: &str = "alice";

/// What is sent: what the caller asks for, and the payload of a request that is a stream.
#[derive(Clone)]
pub struct Call {
    pub asked: Value,
    pub payload: &'static [u8],
}

impl Call {
    /// The same, with a field changed.
    pub fn with(&self, pointer: &str, value: impl Into<Value>) -> Self {
        let mut asked = self.asked.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        asked.pointer_mut(parent).unwrap()[key] = value.into();
        Self { asked, ..self.clone() }
    }

    fn messages(&self, method: &MethodDescriptor) -> Vec<Vec<u8>> {
        let encode = |json: Value| {
            let message = DynamicMessage::deserialize(method.input(), json).unwrap();
            message.encode_to_vec()
        };
        if !method.is_client_streaming() {
            return vec![encode(self.asked.clone())];
        }
        let options = encode(json!({ "options": self.asked }));
        let mut chunk = DynamicMessage::new(method.input());
        chunk.set_field_by_name("chunk", prost_reflect::Value::Bytes(self.payload.into()));
        vec![options, chunk.encode_to_vec()]
    }
}

/// Calls a method, as the caller of the key, if one is given. A watch is left after its first answer.
pub async fn call(
    server: &Server,
    method: &MethodDescriptor,
    call: &Call,
    key: Option<&str>,
) -> Result<Vec<DynamicMessage>, Status> {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name()).parse().unwrap();
    let mut request = Request::new(stream::iter(call.messages(method)));
    if let Some(key) = key {
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
    }
    let mut client: Grpc<Channel> = Grpc::new(server.channel().await);
    client.ready().await.unwrap();
    let answers = client.streaming(request, path, Bytes).await?.into_inner();
    let limit = if method.name().starts_with("Watch") { 1 } else { usize::MAX };
    let decode = |bytes: Vec<u8>| DynamicMessage::decode(method.output(), bytes.as_slice()).unwrap();
    answers.take(limit).map_ok(decode).try_collect().await
}

/// Messages as they are encoded.
#[derive(Clone, Copy, Default)]
struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        bytes::BufMut::put_slice(buf, &item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut item = vec![0; bytes::Buf::remaining(buf)];
        bytes::Buf::copy_to_slice(buf, &mut item);
        Ok(Some(item))
    }
}
