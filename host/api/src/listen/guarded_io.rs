//! The bytes of a connection, as they come and go: how long the client takes to send what it began, and to take what it is sent.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::frames::{FrameScanner, Unfinished};

/// What is known of the bytes of a connection. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct IoState(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    /// None where the frames are not those of HTTP/2.
    frames: Option<FrameScanner>,
    unfinished: Option<(Unfinished, u64, Instant)>,
    blocked_since: Option<Instant>,
}

impl IoState {
    /// Of a connection that begins now.
    pub(super) fn new(is_http2: bool) -> Self {
        let unfinished = is_http2.then(|| (Unfinished::Preface, 0, Instant::now()));
        let frames = is_http2.then(FrameScanner::default);
        Self(Arc::new(Mutex::new(Inner { frames, unfinished, blocked_since: None })))
    }

    /// What the client began to send and did not end, and since when.
    pub(super) fn unfinished(&self) -> Option<(Unfinished, Instant)> {
        self.0.lock().unfinished.map(|(what, _, since)| (what, since))
    }

    /// Since when the client takes nothing of what it is sent.
    pub(super) fn blocked_since(&self) -> Option<Instant> {
        self.0.lock().blocked_since
    }

    fn read(&self, bytes: &[u8]) {
        let mut inner = self.0.lock();
        let Inner { frames: Some(frames), unfinished, .. } = &mut *inner else { return };
        frames.read(bytes);
        *unfinished = frames.unfinished().map(|(what, number)| match *unfinished {
            Some((_, same, since)) if same == number => (what, number, since),
            _ => (what, number, Instant::now()),
        });
    }

    fn wrote<T>(&self, outcome: &Poll<T>) {
        let mut inner = self.0.lock();
        match outcome {
            Poll::Pending => {
                inner.blocked_since.get_or_insert_with(Instant::now);
            }
            Poll::Ready(_) => inner.blocked_since = None,
        }
    }
}

/// A connection whose bytes are watched.
#[derive(Debug)]
pub(super) struct GuardedIo<T> {
    pub(super) io: T,
    pub(super) state: IoState,
}

impl<T: AsyncRead + Unpin> AsyncRead for GuardedIo<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        if let Some(new) = buf.filled().get(before..).filter(|new| !new.is_empty()) {
            self.state.read(new);
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GuardedIo<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.state.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.state.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.state.wrote(&flushed);
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.io).poll_shutdown(cx);
        self.state.wrote(&shut);
        shut
    }
}
