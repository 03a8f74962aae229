//! The payload of an import: the venue's raw response, or several of them, wrapped with where and when they came from.

use cqar_domain::time::Timestamp;
use cqar_plugins::Source;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::error::Error;

/// The wrapped form.
#[derive(Deserialize)]
struct Wrapped<'a> {
    #[serde(borrow)]
    responses: Vec<Response<'a>>,
}

#[derive(Deserialize)]
struct Response<'a> {
    url: Option<String>,
    /// Seconds since the Unix epoch; a string here, so that no digit is lost.
    #[serde(borrow)]
    received_at: Option<&'a RawValue>,
    /// Handed on byte for byte.
    #[serde(borrow)]
    body: &'a RawValue,
}

/// Only tells whether it is the wrapped form.
#[derive(Deserialize)]
struct Shape<'a> {
    #[serde(borrow)]
    responses: Option<Vec<Probe<'a>>>,
}

#[derive(Deserialize)]
struct Probe<'a> {
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

/// The responses in a payload. `segment` is that of a raw body.
pub(super) fn sources(payload: &[u8], segment: Option<&str>) -> Result<Vec<Source>, Error> {
    let malformed =
        |error: serde_json::Error| Error::invalid("payload", "MALFORMED_JSON", format_args!("must be JSON: {error}"));
    let text = str::from_utf8(payload)
        .map_err(|error| Error::invalid("payload", "MALFORMED_JSON", format_args!("must be UTF-8: {error}")))?;
    let whole: &RawValue = serde_json::from_str(text).map_err(malformed)?;
    let raw = || Source {
        url: None,
        segment: segment.map(str::to_owned),
        received_at: None,
        body: whole.get().as_bytes().to_vec(),
    };
    if !is_wrapped(text) {
        return Ok(vec![raw()]);
    }
    let wrapped: Wrapped<'_> = serde_json::from_str(text).map_err(malformed)?;
    let source = |(n, response): (usize, Response<'_>)| {
        let received_at = response.received_at.map(|at| seconds(n, at.get())).transpose()?;
        let body = response.body.get().as_bytes().to_vec();
        Ok(Source { url: response.url, segment: segment.map(str::to_owned), received_at, body })
    };
    wrapped.responses.into_iter().enumerate().map(source).collect()
}

fn is_wrapped(text: &str) -> bool {
    let shape: Result<Shape<'_>, _> = serde_json::from_str(text);
    shape
        .ok()
        .and_then(|shape| shape.responses)
        .is_some_and(|all| !all.is_empty() && all.iter().all(|it| it.body.is_some()))
}

/// `1633998511.132921`, to the microsecond.
fn seconds(response: usize, text: &str) -> Result<Timestamp, Error> {
    let read = || {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        // An exponent would be read as digits.
        if !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let micros: String = fraction.chars().chain("000000".chars()).take(6).collect();
        let micros =
            whole.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(micros.parse::<u32>().ok()?.into())?;
        Timestamp::from_micros(micros).ok()
    };
    read().ok_or_else(|| {
        Error::invalid(format!("payload.responses[{response}].received_at"), "INVALID", "must be in seconds since 1970")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_body_is_one_source_and_a_wrapped_one_as_many_as_it_says() {
        let raw = sources(br#" {"symbols": [1.10]} "#, Some("spot")).unwrap();
        assert_eq!(raw.len(), 1);
        assert_eq!((raw[0].body.as_slice(), raw[0].segment.as_deref()), (&br#"{"symbols": [1.10]}"#[..], Some("spot")));
        let wrapped =
            br#"{"venue": "x", "responses": [{"url": "u", "received_at": 1633998511.132921, "body": {"a": 1.10}},
            {"body": []}]}"#;
        let wrapped = sources(wrapped, None).unwrap();
        assert_eq!(wrapped[0].body, br#"{"a": 1.10}"#, "byte for byte");
        assert_eq!(wrapped[0].received_at.unwrap().to_string(), "2021-10-12T00:28:31.132921Z");
        assert_eq!((wrapped.len(), wrapped[1].received_at), (2, None));
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        let refused = sources(b"{\"symbols\": [", None).unwrap_err().to_string();
        assert!(refused.contains("line 1 column 13"), "{refused}");
        assert!(sources(b"\xff", None).is_err());
        for not_seconds in ["\"now\"", "1.626993724e9", "16e8", "-", "1e400"] {
            let wrapped = format!(r#"{{"responses": [{{"received_at": {not_seconds}, "body": 1}}]}}"#);
            assert!(sources(wrapped.as_bytes(), None).is_err(), "{not_seconds}");
        }
    }
}
