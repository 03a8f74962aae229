//! The life of one connection: how long it may take to begin, to be idle, and to last, and how it ends.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
    time::Duration,
};

use hyper_util::server::graceful::GracefulConnection;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{answers::OpenCalls, frames::Unfinished, guarded_io::IoState};

/// How long a client may take for the first bytes, and for the headers of a call.
pub(super) const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long it may take for any other frame, and to take something of what it is sent.
const FRAME_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a connection lives without a call.
const IDLE_TIMEOUT: Duration = Duration::from_mins(15);
/// How long it lives in all, give or take a tenth, so that those that were made together do not end together: clients spread over
/// replicas that came later, and prove anew who they are.
const MAX_AGE: Duration = Duration::from_mins(30);
/// How long its calls may go on after that.
const MAX_AGE_GRACE: Duration = Duration::from_mins(5);
/// How long a client without a call may take to see that the connection ends.
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(1);

/// Why a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client closed it.
    ByClient,
    /// What was sent is no HTTP, or the network failed.
    Failed,
    /// The server stops.
    Drained,
    /// It had no call for too long.
    Idle,
    /// It was old.
    Old,
    /// It had not begun to speak in time.
    PrefaceTimeout,
    /// The headers of a call were not whole in time.
    HeaderTimeout,
    /// Another frame was not whole in time.
    FrameTimeout,
    /// The client did not take what it was sent.
    WriteTimeout,
}

impl Ended {
    /// In the order of [`Self::name`]'s arms.
    pub(super) const ALL: [Self; 9] = [
        Self::ByClient,
        Self::Failed,
        Self::Drained,
        Self::Idle,
        Self::Old,
        Self::PrefaceTimeout,
        Self::HeaderTimeout,
        Self::FrameTimeout,
        Self::WriteTimeout,
    ];

    /// In metrics.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::ByClient => "client",
            Self::Failed => "failed",
            Self::Drained => "drained",
            Self::Idle => "idle",
            Self::Old => "age",
            Self::PrefaceTimeout => "preface_timeout",
            Self::HeaderTimeout => "header_timeout",
            Self::FrameTimeout => "frame_timeout",
            Self::WriteTimeout => "write_timeout",
        }
    }
}

/// What is watched of a connection.
pub(super) struct Watched {
    pub(super) io: IoState,
    pub(super) calls: OpenCalls,
    /// When it will be old.
    pub(super) old_at: Instant,
    /// Cancelled when it is to end: by the server's own end, or here. Streams end on it.
    pub(super) closing: CancellationToken,
}

/// When a connection that begins now is old. `spread` is from 0 to 1, evenly.
pub(super) fn old_at(spread: f64) -> Instant {
    Instant::now() + MAX_AGE.mul_f64(0.9 + 0.2 * spread)
}

impl Watched {
    /// Serves the connection until it ends, and says why it did. It is boxed, since a future holds several times what it is handed.
    pub(super) async fn serve<C: GracefulConnection>(self, mut connection: Pin<Box<C>>) -> Ended {
        let closing = self.closing.clone();
        let mut closed = pin!(closing.cancelled());
        // Why and when it was told to end.
        let mut ending: Option<(Ended, Instant)> = None;
        let mut alarm = pin!(sleep_until(self.next_look(ending, Instant::now())));
        poll_fn(|cx| {
            loop {
                if let Poll::Ready(outcome) = connection.as_mut().poll(cx) {
                    return Poll::Ready(match (ending, outcome) {
                        (Some((why, _)), _) => why,
                        (None, Ok(())) => Ended::ByClient,
                        (None, Err(_)) => Ended::Failed,
                    });
                }
                if ending.is_none() && closed.as_mut().poll(cx).is_ready() {
                    ending = Some((Ended::Drained, Instant::now()));
                    connection.as_mut().graceful_shutdown();
                    continue;
                }
                let now = Instant::now();
                let look = self.next_look(ending, now);
                if look < alarm.deadline() {
                    alarm.as_mut().reset(look);
                }
                if alarm.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                if let Some(why) = self.overdue(ending, now) {
                    return Poll::Ready(why);
                }
                if ending.is_none()
                    && let Some(why) = self.is_to_end(now)
                {
                    ending = Some((why, now));
                    // Its streams end in a way that clients go on from, on another connection.
                    self.closing.cancel();
                    connection.as_mut().graceful_shutdown();
                }
                alarm.as_mut().reset(self.next_look(ending, now));
            }
        })
        .await
    }

    /// When it is to be looked at again at the latest.
    fn next_look(&self, ending: Option<(Ended, Instant)>, now: Instant) -> Instant {
        let unfinished = self.io.unfinished().map(|(what, since)| since + limit_of(what));
        let blocked = self.io.blocked_since().map(|since| since + FRAME_TIMEOUT);
        let lives = match ending {
            // Whether calls are open is not told, but looked at.
            Some(_) => now + GOAWAY_TIMEOUT,
            None => (self.calls.idle_since().unwrap_or(now) + IDLE_TIMEOUT).min(self.old_at),
        };
        [unfinished, blocked].into_iter().flatten().fold(lives, Instant::min)
    }

    /// Why it is cut, if it is.
    fn overdue(&self, ending: Option<(Ended, Instant)>, now: Instant) -> Option<Ended> {
        if let Some((what, since)) = self.io.unfinished()
            && since + limit_of(what) <= now
        {
            return Some(match what {
                Unfinished::Preface => Ended::PrefaceTimeout,
                Unfinished::Headers => Ended::HeaderTimeout,
                Unfinished::Frame => Ended::FrameTimeout,
            });
        }
        if self.io.blocked_since().is_some_and(|since| since + FRAME_TIMEOUT <= now) {
            return Some(Ended::WriteTimeout);
        }
        let (why, since) = ending?;
        let has_calls = self.calls.idle_since().is_none();
        // How long calls may take while the server stops is its own to say.
        let limit = if has_calls { MAX_AGE_GRACE } else { GOAWAY_TIMEOUT };
        (since + limit <= now).then_some(why)
    }

    /// Why it is told to end, if it is.
    fn is_to_end(&self, now: Instant) -> Option<Ended> {
        if self.old_at <= now {
            return Some(Ended::Old);
        }
        self.calls.idle_since().is_some_and(|since| since + IDLE_TIMEOUT <= now).then_some(Ended::Idle)
    }
}

const fn limit_of(what: Unfinished) -> Duration {
    match what {
        Unfinished::Preface | Unfinished::Headers => HEADER_TIMEOUT,
        Unfinished::Frame => FRAME_TIMEOUT,
    }
}
