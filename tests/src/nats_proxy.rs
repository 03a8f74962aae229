//! A proxy before a NATS server that loses, or holds back, what a test tells it to.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::collect::DEADLINE;

/// What becomes of the next publishes with headers, one after the other; those after the last pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishFault {
    /// It reaches the server.
    Pass,
    /// It is lost.
    Lose,
    /// It is held back, and all that the client sends after it, until [`NatsProxy::release`].
    Hold,
}

/// The proxy. Ends with its drop, and with it the connections through it.
pub struct NatsProxy {
    address: SocketAddr,
    plan: Arc<Plan>,
    listener: JoinHandle<()>,
}

struct Plan {
    fates: Mutex<VecDeque<PublishFault>>,
    /// Whether something is held back, or nothing of what the server says is let through.
    gate: watch::Sender<Gate>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Gate {
    holds_publishes: bool,
    /// How many publishes are held back.
    held: usize,
    holds_answers: bool,
    /// Connections of an older generation are cut.
    generation: u64,
}

impl NatsProxy {
    /// Listens on a free port, and connects each client to the server.
    pub async fn start(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let plan = Arc::new(Plan { fates: Mutex::default(), gate: watch::Sender::default() });
        let accepting = Arc::clone(&plan);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(serve(client, server, Arc::clone(&accepting)));
                }
            }
        });
        Self { address, plan, listener }
    }

    /// The URL to connect to.
    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Decides about the next publishes.
    pub fn plan(&self, fates: impl IntoIterator<Item = PublishFault>) {
        self.plan.fates.lock().unwrap().extend(fates);
    }

    /// Waits until a publish is held back.
    pub async fn holds_publish(&self) {
        self.holds_publishes(1).await;
    }

    /// Waits until so many publishes are held back.
    pub async fn holds_publishes(&self, count: usize) {
        let mut gate = self.plan.gate.subscribe();
        timeout(DEADLINE, gate.wait_for(|gate| gate.held >= count)).await.expect("publishes are held back").unwrap();
    }

    /// Lets go of what is held back: the publishes, in their order.
    pub fn release(&self) {
        self.plan.gate.send_modify(|gate| (gate.holds_publishes, gate.held) = (false, 0));
    }

    /// Holds back everything that the server says, so that no publish is acknowledged.
    pub fn hold_answers(&self) {
        self.plan.gate.send_modify(|gate| gate.holds_answers = true);
    }

    /// Cuts all connections; new ones are let through.
    pub fn cut(&self) {
        self.plan.gate.send_modify(|gate| *gate = Gate { generation: gate.generation + 1, ..Gate::default() });
    }
}

impl Drop for NatsProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.cut();
    }
}

async fn serve(client: TcpStream, server: TcpStream, plan: Arc<Plan>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut gate = plan.gate.subscribe();
    let generation = gate.borrow().generation;
    tokio::select! {
        // What is held back outlives its client: it is on the way, as it would be in a network.
        () = forward_publishes(from_client, to_server, Arc::clone(&plan)) => {}
        () = forward_answers(from_server, to_client, plan.gate.subscribe()) => {}
        _ = gate.wait_for(|gate| gate.generation != generation) => {}
    }
}

async fn forward_answers(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut gate: watch::Receiver<Gate>) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        if gate.wait_for(|gate| !gate.holds_answers).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

async fn forward_publishes(from: OwnedReadHalf, to: OwnedWriteHalf, plan: Arc<Plan>) {
    let (sender, frames) = mpsc::unbounded_channel();
    // What was sent is read, whether or not it may go on: it is on the way.
    tokio::join!(read_frames(from, sender, &plan), write_frames(frames, to, &plan));
}

/// A frame of a client, and whether it waits for [`NatsProxy::release`].
struct Frame {
    bytes: Vec<u8>,
    waits: bool,
}

async fn read_frames(from: OwnedReadHalf, frames: mpsc::UnboundedSender<Frame>, plan: &Plan) {
    let mut from = BufReader::new(from);
    loop {
        let mut bytes = Vec::new();
        if !matches!(from.read_until(b'\n', &mut bytes).await, Ok(1..)) {
            return;
        }
        let line = String::from_utf8_lossy(&bytes).into_owned();
        let mut words = line.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default();
        if matches!(verb, "PUB" | "HPUB") {
            let length: u64 = words.next_back().unwrap().parse().unwrap();
            // With the line's end after the payload.
            let mut payload = (&mut from).take(length + 2);
            if copy(&mut payload, &mut bytes).await.is_err() {
                return;
            }
        }
        let fate = if verb == "HPUB" { plan.fates.lock().unwrap().pop_front() } else { None };
        let waits = fate == Some(PublishFault::Hold);
        if fate == Some(PublishFault::Lose) {
            continue;
        }
        plan.gate.send_modify(|gate| {
            gate.holds_publishes |= waits;
            gate.held += usize::from(gate.holds_publishes && verb == "HPUB");
        });
        if frames.send(Frame { bytes, waits }).is_err() {
            return;
        }
    }
}

async fn write_frames(mut frames: mpsc::UnboundedReceiver<Frame>, mut to: OwnedWriteHalf, plan: &Plan) {
    let mut gate = plan.gate.subscribe();
    while let Some(Frame { bytes, waits }) = frames.recv().await {
        if waits && gate.wait_for(|gate| !gate.holds_publishes).await.is_err() {
            return;
        }
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
