//! WASI as plugins get it: inert, but for what ordinary guests cannot do without.
//!
//! The clock stands at the time of the call, randomness is seeded by the component's hash, and what is written to
//! standard error is kept for the reason of a failure. There are no files, sockets, arguments or variables.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cqar_domain::time::Timestamp;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, WasiCtx,
    cli::{IsTerminal, StdoutStream},
    p2::{OutputStream, Pollable, StreamResult},
};

use crate::{hash::Hash, text::clean};

/// What a plugin may ask for and is given without any effect.
const INERT: [&str; 6] = [
    "wasi:filesystem/",
    "wasi:sockets/",
    "wasi:cli/environment",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-",
];
/// A panic message and a few lines before it.
const STDERR_TAIL_BYTES: usize = 2048;
/// `get-random-bytes` allocates what it is asked for.
const MAX_RANDOM_BYTES: u64 = 64 << 10;
/// How much of a stream is taken in at once.
const WRITE_BYTES: usize = 64 << 10;

/// Whether an import has no effect.
pub(crate) fn is_inert(import: &str) -> bool {
    INERT.iter().any(|prefix| import.starts_with(prefix))
}

/// The context of one instance.
pub(crate) fn context(clock: &CallClock, stderr: &StderrTail, seed: &Hash) -> WasiCtx {
    // Derived from the component alone: the same input has the same answer, tomorrow too.
    let stream = |salt: u8| {
        Deterministic::new(Sha256::new().chain_update(seed.bytes()).chain_update([salt]).finalize().to_vec())
    };
    let mut builder = WasiCtx::builder();
    builder
        .stderr(stderr.clone())
        .wall_clock(clock.clone())
        .monotonic_clock(clock.clone())
        .secure_random(stream(0))
        .insecure_random(stream(1))
        .insecure_random_seed(0)
        .max_random_size(MAX_RANDOM_BYTES)
        .allow_tcp(false)
        .allow_udp(false)
        .allow_ip_name_lookup(false);
    builder.build()
}

/// Stands still at the time of the call.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallClock(Arc<AtomicI64>);

impl CallClock {
    pub(crate) fn set(&self, now: Timestamp) {
        self.0.store(now.micros(), Ordering::Relaxed);
    }

    fn micros(&self) -> u64 {
        // No call is made before 1970.
        u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0)
    }
}

impl HostWallClock for CallClock {
    fn resolution(&self) -> Duration {
        Duration::from_micros(1)
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.micros())
    }
}

impl HostMonotonicClock for CallClock {
    fn resolution(&self) -> u64 {
        1000
    }

    fn now(&self) -> u64 {
        self.micros().saturating_mul(1000)
    }
}

/// The end of what a plugin wrote to standard error.
#[derive(Debug, Clone, Default)]
pub(crate) struct StderrTail(Arc<Mutex<Vec<u8>>>);

impl StderrTail {
    pub(crate) fn clear(&self) {
        self.0.lock().clear();
    }

    /// The text in brackets, on one line; empty if nothing was written.
    pub(crate) fn text(&self) -> String {
        let written = self.0.lock();
        let text = String::from_utf8_lossy(&written);
        let words: Vec<_> = text.split_whitespace().collect();
        if words.is_empty() { String::new() } else { format!(" [{}]", clean(&words.join(" "), STDERR_TAIL_BYTES)) }
    }

    fn push(&self, bytes: &[u8]) {
        let mut written = self.0.lock();
        written.extend_from_slice(bytes.get(bytes.len().saturating_sub(STDERR_TAIL_BYTES)..).unwrap_or(bytes));
        let excess = written.len().saturating_sub(STDERR_TAIL_BYTES);
        written.drain(..excess);
    }
}

impl IsTerminal for StderrTail {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for StderrTail {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for StderrTail {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.push(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(WRITE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for StderrTail {
    async fn ready(&mut self) {}
}

impl AsyncWrite for StderrTail {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_of_standard_error_is_kept() {
        let tail = StderrTail::default();
        assert_eq!(tail.text(), "");
        tail.push(&b"x".repeat(STDERR_TAIL_BYTES));
        tail.push(b"\npanicked at src/lib.rs:1\n");
        assert!(tail.text().ends_with("x panicked at src/lib.rs:1]"));
        assert_eq!(tail.0.lock().len(), STDERR_TAIL_BYTES);
    }

    #[test]
    fn files_and_sockets_are_inert_and_clocks_are_not() {
        assert!(is_inert("wasi:sockets/tcp@0.2.6") && is_inert("wasi:filesystem/types@0.2.6"));
        assert!(!is_inert("wasi:clocks/wall-clock@0.2.6") && !is_inert("cqar:plugin/log@0.2.0"));
    }
}
