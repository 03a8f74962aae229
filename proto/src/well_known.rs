//! `google.protobuf.Timestamp`, `Duration` and `FieldMask`, with the JSON that proto3 prescribes for them.

use std::fmt;

use cqar_domain::time;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An instant: `2026-12-25T08:00:00Z` in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Timestamp {
    /// Seconds since the Unix epoch.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds after that second, 0 to 999,999,999.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// A span of time: `28800s` in JSON.
#[derive(Clone, Copy, PartialEq, Eq, Hash, prost::Message)]
pub struct Duration {
    /// Seconds.
    #[prost(int64, tag = "1")]
    pub seconds: i64,
    /// Nanoseconds, of the same sign.
    #[prost(int32, tag = "2")]
    pub nanos: i32,
}

/// Names of fields: `"symbol,name"` in JSON.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct FieldMask {
    /// The names.
    #[prost(string, repeated, tag = "1")]
    pub paths: Vec<String>,
}

impl From<time::Timestamp> for Timestamp {
    fn from(time: time::Timestamp) -> Self {
        let (seconds, nanos) = time.parts();
        Self { seconds, nanos }
    }
}

impl TryFrom<Timestamp> for time::Timestamp {
    type Error = time::TimestampError;

    fn try_from(time: Timestamp) -> Result<Self, Self::Error> {
        Self::from_parts(time.seconds, time.nanos)
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let time = time::Timestamp::try_from(*self).map_err(serde::ser::Error::custom)?;
        serializer.collect_str(&time)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed("a time in RFC 3339", |s| {
            s.parse::<time::Timestamp>().map(Into::into).map_err(|e| e.to_string())
        }))
    }
}

impl TryFrom<Duration> for std::time::Duration {
    type Error = &'static str;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        let parts = (u64::try_from(duration.seconds), u32::try_from(duration.nanos));
        match parts {
            (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Self::new(seconds, nanos)),
            _ => Err("must be a duration that is not negative, such as 28800s"),
        }
    }
}

impl From<std::time::Duration> for Duration {
    fn from(duration: std::time::Duration) -> Self {
        Self {
            seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            // Below 10^9 by the type's promise.
            nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let sign = if self.seconds < 0 || self.nanos < 0 { "-" } else { "" };
        let (seconds, nanos) = (self.seconds.unsigned_abs(), self.nanos.unsigned_abs());
        if nanos == 0 {
            return serializer.collect_str(&format_args!("{sign}{seconds}s"));
        }
        let fraction = format!("{nanos:09}");
        serializer.collect_str(&format_args!("{sign}{seconds}.{}s", fraction.trim_end_matches('0')))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed("a duration in seconds, such as 28800s", parse_duration))
    }
}

fn parse_duration(s: &str) -> Result<Duration, String> {
    let refused = || "must be seconds and an s, such as 28800s".to_owned();
    let number = s.strip_suffix('s').ok_or_else(refused)?;
    let (number, sign) = number.strip_prefix('-').map_or((number, 1), |rest| (rest, -1));
    let (seconds, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |s: &str| !s.is_empty() && s.len() <= 12 && s.bytes().all(|b| b.is_ascii_digit());
    if !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return Err(refused());
    }
    let seconds: i64 = seconds.parse().map_err(|_| refused())?;
    let nanos: i32 = format!("{fraction:0<9}").parse().map_err(|_| refused())?;
    Ok(Duration { seconds: sign * seconds, nanos: if sign < 0 { -nanos } else { nanos } })
}

impl Serialize for FieldMask {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.paths.join(","))
    }
}

impl<'de> Deserialize<'de> for FieldMask {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Parsed("field names, separated by commas", |s| {
            let paths = s.split(',').map(|path| path.trim().to_owned()).filter(|path| !path.is_empty());
            Ok(FieldMask { paths: paths.collect() })
        }))
    }
}

/// Visits a string with a parser.
struct Parsed<T>(&'static str, fn(&str) -> Result<T, String>);

impl<T> de::Visitor<'_> for Parsed<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: de::Error>(self, s: &str) -> Result<T, E> {
        (self.1)(s).map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_durations_and_masks_have_the_json_of_proto3() {
        let time: Timestamp = serde_json::from_str("\"2021-10-12T00:28:31.132921Z\"").unwrap();
        assert_eq!(serde_json::to_string(&time).unwrap(), "\"2021-10-12T00:28:31.132921Z\"");
        let mask: FieldMask = serde_json::from_str("\"symbol, name\"").unwrap();
        assert_eq!(serde_json::to_string(&mask).unwrap(), "\"symbol,name\"");
        for text in ["\"28800s\"", "\"0.5s\"", "\"-1.000001s\"", "\"0s\""] {
            let duration: Duration = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&duration).unwrap(), text);
        }
        for bad in ["\"8h\"", "\"s\"", "\"1.0000000001s\"", "\"1e3s\"", "28800"] {
            assert!(serde_json::from_str::<Duration>(bad).is_err(), "{bad}");
        }
    }
}
