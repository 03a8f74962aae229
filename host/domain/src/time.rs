//! Instants, dates and intervals in UTC.

use std::{fmt, str::FromStr};

/// A calendar date (UTC), such as a contract's day of expiry.
pub type Date = jiff::civil::Date;

/// An instant in UTC with microseconds, between the years 1 and 9999 (the range of google.protobuf.Timestamp).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why something is not an instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a time in RFC 3339 between the years 1 and 9999, such as 2026-12-25T08:00:00Z")]
pub struct TimestampError;

const MIN_SECOND: i64 = -62_135_596_800;
const MAX_SECOND: i64 = 253_402_300_799;

impl Timestamp {
    /// From microseconds since the Unix epoch.
    pub const fn from_micros(micros: i64) -> Result<Self, TimestampError> {
        let second = micros.div_euclid(1_000_000);
        if second < MIN_SECOND || second > MAX_SECOND { Err(TimestampError) } else { Ok(Self(micros)) }
    }

    /// From seconds since the Unix epoch and nanoseconds, which are cut to microseconds.
    pub fn from_parts(seconds: i64, nanos: i32) -> Result<Self, TimestampError> {
        if !(MIN_SECOND..=MAX_SECOND).contains(&seconds) || !(0..1_000_000_000).contains(&nanos) {
            return Err(TimestampError);
        }
        Ok(Self(seconds * 1_000_000 + i64::from(nanos / 1000)))
    }

    /// Microseconds since the Unix epoch.
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the Unix epoch, and the nanoseconds after them.
    pub fn parts(self) -> (i64, i32) {
        let nanos = self.0.rem_euclid(1_000_000) * 1000;
        (self.0.div_euclid(1_000_000), i32::try_from(nanos).unwrap_or(0))
    }

    /// The UTC date.
    pub fn date(self) -> Date {
        self.to_jiff().to_zoned_datetime(jiff::tz::TimeZone::UTC).date()
    }

    /// This instant and so many seconds, or the last that can be written.
    #[must_use]
    pub fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)).min(MAX_SECOND * 1_000_000))
    }

    fn to_jiff(self) -> jiff::Timestamp {
        // Within jiff's range by construction.
        jiff::Timestamp::from_microsecond(self.0).unwrap_or(jiff::Timestamp::MAX)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(s: &str) -> Result<Self, TimestampError> {
        let instant: jiff::Timestamp = s.parse().map_err(|_| TimestampError)?;
        Self::from_micros(instant.as_nanosecond().div_euclid(1000).try_into().map_err(|_| TimestampError)?)
    }
}

/// RFC 3339 with `Z`, and as many digits of the second as it has.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_jiff().fmt(f)
    }
}

/// Tells the time. A parameter, so that tests set it.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_microsecond())
    }
}

/// A half-open interval `[from, until)`; an absent end is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interval {
    /// From when; since ever if absent.
    pub from: Option<Timestamp>,
    /// Until just before when; for ever if absent.
    pub until: Option<Timestamp>,
}

impl Interval {
    /// Whether the instant is within.
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from.is_none_or(|from| from <= at) && self.until.is_none_or(|until| at < until)
    }

    /// Whether no instant can be within.
    pub fn is_empty(&self) -> bool {
        matches!((self.from, self.until), (Some(from), Some(until)) if until <= from)
    }

    /// Whether some instant is within both.
    pub fn overlaps(&self, other: &Self) -> bool {
        let before = |until: Option<Timestamp>, from: Option<Timestamp>| match (until, from) {
            (Some(until), Some(from)) => until <= from,
            _ => false,
        };
        !self.is_empty() && !other.is_empty() && !before(self.until, other.from) && !before(other.until, self.from)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.from, self.until) {
            (None, None) => f.write_str("always"),
            (Some(from), None) => write!(f, "from {from} on"),
            (None, Some(until)) => write!(f, "until {until}"),
            (Some(from), Some(until)) => write!(f, "from {from} until {until}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_time_reads_back_as_written() {
        let t: Timestamp = "2021-10-12T00:28:31.132921Z".parse().unwrap();
        assert_eq!(t.to_string(), "2021-10-12T00:28:31.132921Z");
        assert_eq!(t.parts(), (1_633_998_511, 132_921_000));
        assert_eq!(t.date().to_string(), "2021-10-12");
        assert!("yesterday".parse::<Timestamp>().is_err());
        assert!(Timestamp::from_parts(MAX_SECOND + 1, 0).is_err());
        assert!(Timestamp::from_parts(0, -1).is_err());
    }

    fn bound() -> impl Strategy<Value = Option<Timestamp>> {
        proptest::option::of((0..6i64).prop_map(|s| Timestamp(s * 1_000_000)))
    }

    proptest! {
        #[test]
        fn intervals_overlap_exactly_if_an_instant_is_in_both(a in bound(), b in bound(), c in bound(), d in bound()) {
            let (x, y) = (Interval { from: a, until: b }, Interval { from: c, until: d });
            let shared = (-1..7i64).map(|s| Timestamp(s * 1_000_000)).any(|t| x.contains(t) && y.contains(t));
            prop_assert_eq!(x.overlaps(&y), shared);
        }
    }
}
