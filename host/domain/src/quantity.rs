//! Durations and sizes as configuration writes them.

use std::time::Duration;

/// Reads `50ms`, `30s`, `15m`, `1h` and combinations.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    // A bare number has no unit; jiff reads ISO 8601 (`PT30S`) too.
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| Duration::try_from(duration).ok())
        .ok_or_else(|| "must be a duration such as 50ms, 30s, 15m or 1h".to_owned())
}

/// Reads a number of bytes above 0: `1024`, `512KiB`, `64MiB`, `1GiB`.
pub fn parse_byte_size(text: &str) -> Result<usize, String> {
    let wrong = || "must be a size in bytes such as 512KiB, 64MiB or 1GiB".to_owned();
    let text = text.trim();
    let (digits, unit) = match text.find(|c: char| !c.is_ascii_digit()) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    };
    let unit: usize = match unit.trim() {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err(wrong()),
    };
    let size = digits.parse::<usize>().ok().and_then(|number| number.checked_mul(unit));
    size.filter(|size| *size > 0).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_a_unit() {
        let of = |text| parse_duration(text).unwrap();
        assert_eq!(of("30s"), Duration::from_secs(30));
        assert_eq!(of("15m"), Duration::from_mins(15));
        assert_eq!(of("1h"), Duration::from_hours(1));
        assert_eq!(of("50ms"), Duration::from_millis(50));
        assert_eq!(of("1h30m"), Duration::from_mins(90));
        assert_eq!(of("0s"), Duration::ZERO);
        for bad in ["", "30", "-5s", "5 parsecs", "s", "30S0"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(parse_byte_size("16MiB"), Ok(16 << 20));
        assert_eq!(parse_byte_size("1 GiB"), Ok(1 << 30));
        assert_eq!(parse_byte_size("1024"), Ok(1024));
        for bad in ["", "0", "MiB", "16MB", "-1", "1.5GiB", "99999999999999GiB"] {
            assert!(parse_byte_size(bad).is_err(), "{bad}");
        }
    }
}
