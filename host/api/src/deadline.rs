//! How long a call may take, as its client says.

use std::time::Duration;

use cqar_proto::v1::ErrorReason;
use http::HeaderMap;
use tonic::{Code, Status};

use crate::status_builder::StatusBuilder;

/// What a client is told whose deadline passed.
pub(crate) fn too_late() -> Status {
    let message =
        "the call's deadline passed before it was answered; a write may have been made: repeat it with its request_id";
    StatusBuilder::new(Code::DeadlineExceeded, ErrorReason::DeadlinePassed, message).into_status()
}

/// How long the client waits: at most eight digits and a unit.
/// <https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>
pub(crate) fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_hours(number),
        "M" => Duration::from_mins(number),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_timeout_says_nothing() {
        let read = |text: &str| {
            deadline(&HeaderMap::from_iter([(http::HeaderName::from_static("grpc-timeout"), text.parse().unwrap())]))
        };
        let known = [("1H", 3_600_000), ("2M", 120_000), ("3S", 3000), ("50m", 50), ("20000u", 20), ("99999999n", 99)];
        for (text, millis) in known {
            assert_eq!(read(text).map(|it| it.as_millis()), Some(millis), "{text}");
        }
        for malformed in ["", "S", "5", "123456789S", "-1S", "1d"] {
            assert_eq!(read(malformed), None, "{malformed}");
        }
    }
}
