//! How the server ends: first nobody is to send it more, then it takes no more, and then what is left is cut off.
//!
//! SIGTERM comes from what replaces a server, and before others know of it: so it goes on accepting for `server.drain_delay`, while its
//! health says that it leaves. SIGINT comes from a person, who does not want to wait. Whoever sends a second signal wants it to end at
//! once. Invariant: from the first signal on, the process lives no longer than the delay, the time for its calls and [`EXIT_GRACE`].

use std::time::Duration;

use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::config::{environment::is_guarded, sections::Config};

/// How long the parts of the server, and the last of its telemetry, may take to end when no call is left.
const EXIT_GRACE: Duration = Duration::from_secs(5);
/// What `server.drain_delay` is by itself where others send calls: Envoy and Kubernetes look every second or two.
const DRAIN_DELAY: Duration = Duration::from_secs(5);

/// How far the server's end is. Clones share it.
#[derive(Debug, Clone)]
pub struct Shutdown {
    /// It says that it is not ready, and serves on.
    pub draining: CancellationToken,
    /// It takes no more calls, and ends its streams.
    pub closing: CancellationToken,
    /// It is not waited for any longer.
    cut: CancellationToken,
}

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub struct Phases {
    /// While others learn that it leaves.
    pub drain_delay: Duration,
    /// While its calls end.
    pub calls: Duration,
}

impl Phases {
    /// As they are configured.
    pub fn of(config: &Config) -> Self {
        let by_itself = if is_guarded(&config.service.env) { DRAIN_DELAY } else { Duration::ZERO };
        Self { drain_delay: config.server.drain_delay.unwrap_or(by_itself), calls: config.server.shutdown_timeout }
    }
}

impl Shutdown {
    /// One that begins with a signal, or when the server is told to close. Handlers are in place when this returns, so that a signal during
    /// the start is not lost.
    pub fn on_signals(phases: Phases) -> std::io::Result<Self> {
        let shutdown = Self {
            draining: CancellationToken::new(),
            closing: CancellationToken::new(),
            cut: CancellationToken::new(),
        };
        let signals =
            Signals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        // Of no tracker: it is what ends a process whose trackers do not.
        tokio::spawn(shutdown.clone().follow(signals, phases));
        Ok(shutdown)
    }

    /// Begins, without a delay: a part of the server failed.
    pub fn close(&self) {
        self.draining.cancel();
        self.closing.cancel();
    }

    /// Resolves when the process is to end, whatever still runs.
    pub async fn cut(&self) {
        self.cut.cancelled().await;
    }

    async fn follow(self, mut signals: Signals, phases: Phases) {
        let waits = tokio::select! {
            waits = signals.next() => waits,
            () = self.closing.cancelled() => false,
        };
        let delay = if waits { phases.drain_delay } else { Duration::ZERO };
        tracing::info!(?delay, timeout = ?phases.calls, "draining");
        self.draining.cancel();
        let ends = async {
            sleep(delay).await;
            self.closing.cancel();
            sleep(phases.calls + EXIT_GRACE).await;
        };
        tokio::select! {
            _ = signals.next() => tracing::warn!("a second signal: ends at once"),
            () = ends => tracing::error!(after = ?(delay + phases.calls + EXIT_GRACE), "cut_off: something did not end in time"),
        }
        self.cut.cancel();
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Waits for one, and says whether it leaves time to others.
    async fn next(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }
}

/// Ends what the calls rested on: the tailer, the relay, the plugins.
pub async fn end_parts(tracker: &TaskTracker, token: &CancellationToken) {
    token.cancel();
    tracker.close();
    if timeout(EXIT_GRACE, tracker.wait()).await.is_err() {
        tracing::warn!(timeout = ?EXIT_GRACE, "parts_cut_off");
    }
}
