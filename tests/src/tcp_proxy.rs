//! A proxy before any server that goes silent: it keeps the connections, and lets nothing through, of all of them or of one.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// The proxy. Ends with its drop, and with it the connections through it.
pub struct TcpProxy {
    address: SocketAddr,
    state: Arc<State>,
    listener: JoinHandle<()>,
}

struct State {
    is_silent: watch::Sender<bool>,
    /// Whether one connection is held back.
    holds: watch::Sender<bool>,
    /// What of a client makes it go silent, before it is passed on, and whether all connections do.
    trigger: Mutex<Option<(Vec<u8>, bool)>>,
    ended: watch::Sender<bool>,
}

impl TcpProxy {
    /// Listens on a free port, and connects each client to the server.
    pub async fn start(server: String) -> Self {
        Self::start_at(0, server).await
    }

    /// The same on a port.
    pub async fn start_at(port: u16, server: String) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (is_silent, holds, ended) =
            (watch::Sender::new(false), watch::Sender::new(false), watch::Sender::new(false));
        let state = Arc::new(State { is_silent, holds, trigger: Mutex::new(None), ended });
        let accepting = Arc::clone(&state);
        let listener = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if let Ok(server) = TcpStream::connect(&server).await {
                    tokio::spawn(serve(client, server, Arc::clone(&accepting)));
                }
            }
        });
        Self { address, state, listener }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Goes silent as soon as a client sends these bytes, which are held back.
    pub fn silence_at(&self, text: &str) {
        *self.state.trigger.lock().unwrap() = Some((text.as_bytes().to_vec(), true));
    }

    /// Holds the connection back on which a client sends these bytes next, from them on; all others go on.
    pub fn hold_at(&self, text: &str) {
        *self.state.trigger.lock().unwrap() = Some((text.as_bytes().to_vec(), false));
    }

    /// Waits until a connection is held back.
    pub async fn holds(&self) {
        self.state.holds.subscribe().wait_for(|holds| *holds).await.unwrap();
    }

    /// Lets nothing through.
    pub fn silence(&self) {
        self.state.is_silent.send_replace(true);
    }

    /// Waits until it is silent.
    pub async fn is_silent(&self) {
        self.state.is_silent.subscribe().wait_for(|silent| *silent).await.unwrap();
    }

    /// Lets through what was held back, and all that follows.
    pub fn release(&self) {
        self.state.is_silent.send_replace(false);
        self.state.holds.send_replace(false);
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.listener.abort();
        self.state.ended.send_replace(true);
    }
}

async fn serve(client: TcpStream, server: TcpStream, state: Arc<State>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut ended = state.ended.subscribe();
    tokio::select! {
        () = forward(from_client, to_server, &state, true) => {}
        () = forward(from_server, to_client, &state, false) => {}
        _ = ended.wait_for(|ended| *ended) => {}
    }
}

/// The most bytes of a trigger.
const MAX_TRIGGER: usize = 64;

async fn forward(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, state: &State, is_client: bool) {
    let (mut buffer, mut is_held) = (vec![0; 1 << 16], false);
    // What was sent last, for a trigger may come in two reads.
    let mut sent: Vec<u8> = Vec::new();
    let (mut is_silent, mut holds) = (state.is_silent.subscribe(), state.holds.subscribe());
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let bytes = &buffer[..read];
        if is_client {
            let mut trigger = state.trigger.lock().unwrap();
            let known = sent.len();
            sent.extend_from_slice(bytes);
            // Ending in what is new: an earlier one was before the trigger was set.
            let is_met = |text: &Vec<u8>| {
                let begin = (known + 1).saturating_sub(text.len());
                sent.get(begin..).is_some_and(|new| new.windows(text.len()).any(|window| window == text))
            };
            match trigger.take_if(|(text, _)| is_met(text)) {
                Some((_, true)) => drop(state.is_silent.send_replace(true)),
                Some((_, false)) => {
                    state.holds.send_replace(true);
                    is_held = true;
                }
                None => {}
            }
            sent.drain(..sent.len().saturating_sub(MAX_TRIGGER - 1));
        }
        if is_held && holds.wait_for(|holds| !holds).await.is_err() {
            return;
        }
        is_held = false;
        if is_silent.wait_for(|silent| !silent).await.is_err() || to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
