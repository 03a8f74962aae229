//! How much a caller may do at once, so that none takes what the others need.

use std::{
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use cqar_proto::v1::ErrorReason;
use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
};
use tonic::{Code, Status};

use crate::{status::RETRY_LATER, status_builder::StatusBuilder};

/// How much a caller may do at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallerLimits {
    /// Calls that begin within a second; none for any number. So many may begin at one moment.
    pub requests_per_second: Option<NonZeroU32>,
    /// Calls that are not answered yet, streams apart.
    pub concurrent_calls: usize,
    /// Open streams.
    pub streams: usize,
    /// Bytes of requests that are not answered yet.
    pub bytes_in_flight: usize,
}

impl Default for CallerLimits {
    fn default() -> Self {
        Self { requests_per_second: None, concurrent_calls: 4096, streams: 1024, bytes_in_flight: 32 << 20 }
    }
}

/// What a caller does just now, over all its connections.
#[derive(Debug)]
pub(crate) struct CallerUse {
    rate: ArcSwapOption<Rate>,
    calls: Used,
    streams: Used,
    bytes: Used,
}

#[derive(Debug)]
struct Rate {
    per_second: NonZeroU32,
    limiter: DefaultDirectRateLimiter,
}

/// So much of so much.
#[derive(Debug)]
struct Used {
    used: AtomicUsize,
    limit: AtomicUsize,
}

impl Default for CallerUse {
    fn default() -> Self {
        let used = || Used { used: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX) };
        Self { rate: ArcSwapOption::empty(), calls: used(), streams: used(), bytes: used() }
    }
}

impl CallerUse {
    /// These limits hold from now on. What is used beyond them is not taken back.
    pub(super) fn limit(&self, limits: CallerLimits) {
        let CallerLimits { requests_per_second, concurrent_calls, streams, bytes_in_flight } = limits;
        let before = self.rate.load().as_ref().map(|rate| rate.per_second);
        // A new limiter would let a second's worth through at once.
        if before != requests_per_second {
            let rate = |per_second| Rate { per_second, limiter: RateLimiter::direct(Quota::per_second(per_second)) };
            self.rate.store(requests_per_second.map(rate).map(Arc::new));
        }
        for (used, limit) in [(&self.calls, concurrent_calls), (&self.streams, streams), (&self.bytes, bytes_in_flight)]
        {
            used.limit.store(limit, Ordering::Relaxed);
        }
    }

    /// Begins a call, or says which limit is reached.
    pub(super) fn begin(self: &Arc<Self>, is_stream: bool) -> Result<CallPermit, Status> {
        if let Some(rate) = &*self.rate.load()
            && let Err(early) = rate.limiter.check()
        {
            let wait = early.wait_time_from(DefaultClock::default().now());
            return Err(exceeded("requests_per_second", rate.per_second.get() as usize, wait));
        }
        let (used, limit) = if is_stream { (&self.streams, "streams") } else { (&self.calls, "concurrent_calls") };
        used.take(1).map_err(|most| exceeded(limit, most, RETRY_LATER))?;
        Ok(CallPermit { caller: Arc::clone(self), is_stream })
    }

    /// Takes bytes of a request. They are given back by [`Self::give_back`].
    pub(crate) fn take_bytes(&self, bytes: usize) -> Result<(), Status> {
        self.bytes.take(bytes).map_err(|most| exceeded("bytes_in_flight", most, RETRY_LATER))
    }

    /// Gives back what was taken.
    pub(crate) fn give_back(&self, bytes: usize) {
        self.bytes.give_back(bytes);
    }
}

impl Used {
    /// Takes so much, unless the limit is reached.
    fn take(&self, amount: usize) -> Result<(), usize> {
        let limit = self.limit.load(Ordering::Relaxed);
        let before = self.used.fetch_add(amount, Ordering::AcqRel);
        if before.saturating_add(amount) <= limit {
            return Ok(());
        }
        self.give_back(amount);
        Err(limit)
    }

    fn give_back(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::AcqRel);
    }
}

/// A call of a caller that goes on.
#[derive(Debug)]
pub(crate) struct CallPermit {
    caller: Arc<CallerUse>,
    is_stream: bool,
}

impl CallPermit {
    /// Whether the call is a stream.
    pub(super) const fn is_stream(&self) -> bool {
        self.is_stream
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let used = if self.is_stream { &self.caller.streams } else { &self.caller.calls };
        used.give_back(1);
    }
}

fn exceeded(limit: &'static str, most: usize, wait: Duration) -> Status {
    let message =
        format_args!("this key may have no more than {most} ({limit}); try again, or ask the operator for more");
    StatusBuilder::new(Code::ResourceExhausted, ErrorReason::CallerLimit, message)
        .with("limit", limit)
        .with("most", most)
        .retry_after(wait)
        .into_status()
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt as _;

    use super::*;

    fn limit_of(status: &Status) -> String {
        assert_eq!(status.code(), Code::ResourceExhausted);
        assert!(status.get_details_retry_info().is_some());
        status.get_details_error_info().unwrap().metadata["limit"].clone()
    }

    #[test]
    fn each_limit_is_named_when_it_is_reached_and_given_back_when_a_call_ends() {
        let caller = Arc::new(CallerUse::default());
        caller.limit(CallerLimits { concurrent_calls: 1, streams: 1, bytes_in_flight: 10, ..CallerLimits::default() });
        let (call, stream) = (caller.begin(false).unwrap(), caller.begin(true).unwrap());
        assert_eq!(limit_of(&caller.begin(false).unwrap_err()), "concurrent_calls");
        assert_eq!(limit_of(&caller.begin(true).unwrap_err()), "streams");
        drop((call, stream));
        drop((caller.begin(false).unwrap(), caller.begin(true).unwrap()));
        caller.take_bytes(10).unwrap();
        assert_eq!(limit_of(&caller.take_bytes(1).unwrap_err()), "bytes_in_flight");
        caller.give_back(10);
        caller.take_bytes(10).unwrap();
    }

    #[test]
    fn so_many_calls_begin_within_a_second() {
        let caller = Arc::new(CallerUse::default());
        let limits = CallerLimits { requests_per_second: NonZeroU32::new(3), ..CallerLimits::default() };
        caller.limit(limits);
        let begun = (0..10).filter(|_| caller.begin(false).is_ok()).count();
        assert_eq!(begun, 3);
        caller.limit(limits);
        assert_eq!(limit_of(&caller.begin(false).unwrap_err()), "requests_per_second");
        caller.limit(CallerLimits::default());
        caller.begin(false).unwrap();
    }
}
