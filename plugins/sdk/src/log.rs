//! Writing to the host's log. Natively, in tests, to standard error.

pub use crate::bindings::cqar::plugin::log::Level;
use crate::plugin::Field;

/// Logs an event with its fields: `log(Level::Warn, "listing.unknown_status", &[("symbol", "BTCUSDT")])`.
pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let fields: Vec<Field> =
        fields.iter().map(|(key, value)| Field { key: (*key).to_owned(), value: (*value).to_owned() }).collect();
    if cfg!(target_family = "wasm") {
        crate::bindings::cqar::plugin::log::log(level, message, &fields);
    } else {
        eprintln!("{level:?} {message} {fields:?}");
    }
}
