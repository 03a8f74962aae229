//! The floor: what a service costs that only answers. Tonic, with the registry's own transport settings and messages,
//! and a moka cache with nothing behind it; no authentication, no metrics, no traces, no revisions, no clock.

use std::{
    convert::Infallible,
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    task::{Context, Poll},
};

use anyhow::Context as _;
use bytes::BufMut;
use cqar_proto::{
    server::market_service_server::SERVICE_NAME,
    v1::{self, batch_resolve_markets_request::Item},
};
use futures::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use moka::{Equivalent, sync::Cache};
use prost::{
    Message,
    encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint},
};
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body,
    server::NamedService,
    transport::{Server, server::TcpIncoming},
};
use tower::Service;

use crate::{
    codec::{Outgoing, answer},
    load::Target,
};

/// Serves until it is killed. The first line on standard output is the address.
pub(crate) async fn serve(port: u16, answers: &Path) -> anyhow::Result<()> {
    let floor = Floor::with(&fs::read_to_string(answers).with_context(|| answers.display().to_string())?)?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    println!("http://{}", listener.local_addr()?);
    // As the registry's own server.
    Server::builder()
        .max_concurrent_streams(1024)
        .add_service(floor)
        .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
        .await?;
    Ok(())
}

/// A floor server in a process of its own. Ends with its drop.
pub(crate) struct FloorProcess {
    child: Child,
    target: Target,
}

impl FloorProcess {
    /// Starts one with these answers, which go through a file in the folder.
    pub(crate) fn start(answers: &[v1::ResolveMarketResponse], folder: &Path) -> anyhow::Result<Self> {
        let lines: Vec<String> = answers.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
        let file = folder.join("answers.jsonl");
        fs::write(&file, lines.join("\n"))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["floor", "--answers"]).arg(&file).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().context("cannot start the floor server")?;
        let mut address = String::new();
        if let Some(out) = child.stdout.take() {
            BufReader::new(out).read_line(&mut address)?;
        }
        let target = Target { address: address.trim().to_owned(), key: None, pid: child.id() };
        Ok(Self { child, target })
    }

    /// Where it listens.
    pub(crate) const fn target(&self) -> &Target {
        &self.target
    }
}

impl Drop for FloorProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[derive(Clone)]
struct Floor {
    answers: Cache<Key, Arc<v1::ResolveMarketResponse>>,
}

#[derive(Hash, PartialEq, Eq)]
struct Key {
    venue: String,
    segment: String,
    symbol: String,
}

/// The same, borrowed: a look-up allocates nothing, in the floor as in the registry.
#[derive(Hash)]
struct KeyRef<'a> {
    venue: &'a str,
    segment: &'a str,
    symbol: &'a str,
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.venue == key.venue && self.segment == key.segment && self.symbol == key.symbol
    }
}

impl Floor {
    fn with(lines: &str) -> anyhow::Result<Self> {
        let answers = Cache::new(1_000_000);
        for line in lines.lines() {
            let answer: v1::ResolveMarketResponse = serde_json::from_str(line)?;
            let market = answer.market.as_ref().context("an answer has no market")?;
            let (venue, segment, symbol) =
                (market.venue_id.clone(), market.segment.clone(), market.venue_symbol.clone());
            answers.insert(Key { venue, segment, symbol }, Arc::new(answer));
        }
        Ok(Self { answers })
    }

    fn resolve(
        &self,
        venue: &str,
        segment: Option<&str>,
        symbol: &str,
    ) -> Result<Arc<v1::ResolveMarketResponse>, Status> {
        let key = KeyRef { venue, segment: segment.unwrap_or_default(), symbol };
        self.answers.get(&key).ok_or_else(|| Status::not_found("no such market"))
    }
}

impl NamedService for Floor {
    const NAME: &'static str = SERVICE_NAME;
}

impl Service<Request<Body>> for Floor {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let floor = self.clone();
        let is_batch = request.uri().path().ends_with("/BatchResolveMarkets");
        if is_batch {
            let batch = move |batch: Box<v1::BatchResolveMarketsRequest>| {
                let one = |it: &Item| floor.resolve(&it.venue_id, it.segment.as_deref(), &it.venue_symbol);
                batch.requests.iter().map(one).collect::<Result<Batch, _>>()
            };
            answer(request, batch).map(Ok).boxed()
        } else {
            let one = move |it: Box<v1::ResolveMarketRequest>| {
                floor.resolve(&it.venue_id, it.segment.as_deref(), &it.venue_symbol)
            };
            answer(request, one).map(Ok).boxed()
        }
    }
}

impl Outgoing for Arc<v1::ResolveMarketResponse> {
    fn encode(&self, buf: &mut impl BufMut) {
        self.encode_raw(buf);
    }
}

/// A [`v1::BatchResolveMarketsResponse`], encoded from where the cache keeps the messages: copying them first would
/// cost the floor more than encoding them.
struct Batch(Vec<Arc<v1::ResolveMarketResponse>>);

impl FromIterator<Arc<v1::ResolveMarketResponse>> for Batch {
    fn from_iter<T: IntoIterator<Item = Arc<v1::ResolveMarketResponse>>>(answers: T) -> Self {
        Self(answers.into_iter().collect())
    }
}

/// The tag of `results` in the batch, and of `resolved` in a result.
const TAG: u32 = 1;

impl Outgoing for Batch {
    fn encode(&self, buf: &mut impl BufMut) {
        for answer in &self.0 {
            let len = answer.encoded_len() as u64;
            encode_key(TAG, WireType::LengthDelimited, buf);
            encode_varint(encoding::key_len(TAG) as u64 + encoded_len_varint(len) as u64 + len, buf);
            encode_key(TAG, WireType::LengthDelimited, buf);
            encode_varint(len, buf);
            answer.encode_raw(buf);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_the_floor_reads_as_the_contracts_own_message() {
        use v1::batch_resolve_markets_response::{Result as Found, result::Result as Resolved};
        let market = v1::Market { venue_symbol: "X".repeat(200), ..v1::Market::default() };
        let answer = v1::ResolveMarketResponse { market: Some(market), ..v1::ResolveMarketResponse::default() };
        let mut sent = Vec::new();
        let kept = Arc::new(answer.clone());
        Batch(vec![Arc::clone(&kept), kept]).encode(&mut sent);
        let found = Found { result: Some(Resolved::Resolved(answer)) };
        let expected = v1::BatchResolveMarketsResponse { results: vec![found; 2], revision: 0 };
        assert_eq!(v1::BatchResolveMarketsResponse::decode(sent.as_slice()).unwrap(), expected);
    }
}
