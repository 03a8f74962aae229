//! What every plugin has: a manifest, settings, and a place where the configured plugin stands.

use std::sync::RwLock;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::document;

pub use crate::bindings::cqar::plugin::types::{Failure, Field, Problem};

/// A plugin: what it says of itself, and how its settings make it.
pub trait Plugin: Sized + Send + Sync + 'static {
    /// The settings; `#[serde(deny_unknown_fields)]` refuses unknown keys by name.
    type Settings: DeserializeOwned;

    /// What it is, and what it asks for.
    fn manifest() -> Manifest;

    /// Makes the plugin, or says what is wrong with which setting.
    fn configure(settings: Self::Settings) -> Result<Self, Vec<Problem>>;
}

/// What a plugin says of itself. Its kind is that of the macro which exports it. A plugin names what it has, and ends in
/// `..Manifest::default()`: no subscriptions, grants, segments, sources or settings.
#[derive(Debug, Serialize)]
pub struct Manifest {
    /// A slug, equal to the stem of the component's file.
    pub name: &'static str,
    /// The plugin's own version.
    pub version: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// The entities whose changes a validator judges, or whose events a transform sees; none for a symbology.
    pub subscriptions: &'static [EntityType],
    /// The look-ups that it needs.
    pub grants: &'static [Grant],
    /// The parts of the venue that a symbology knows; none for other kinds.
    pub segments: &'static [&'static str],
    /// The public addresses where a symbology's listings begin; none for other kinds.
    pub sources: &'static [ListingSource],
    /// JSON Schema of the settings, for people; [`Plugin::configure`] is what refuses bad ones.
    pub settings_schema: serde_json::Value,
}

impl Default for Manifest {
    fn default() -> Self {
        Self {
            name: "",
            version: "",
            description: "",
            subscriptions: &[],
            grants: &[],
            segments: &[],
            sources: &[],
            settings_schema: no_settings(),
        }
    }
}

/// Where a listing begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ListingSource {
    /// The public address.
    pub url: &'static str,
    /// The segment that it is of.
    pub segment: &'static str,
}

/// The types of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as the messages of cqar.v1")]
pub enum EntityType {
    Asset,
    Chain,
    Venue,
    VenueAsset,
    Instrument,
    Market,
}

impl EntityType {
    /// The name on the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Chain => "chain",
            Self::Venue => "venue",
            Self::VenueAsset => "venue_asset",
            Self::Instrument => "instrument",
            Self::Market => "market",
        }
    }
}

/// What a plugin may be granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grant {
    /// Look-ups in the registry.
    Registry,
}

/// The settings of a plugin that has none.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoSettings {}

/// The schema of [`NoSettings`].
pub fn no_settings() -> serde_json::Value {
    serde_json::json!({ "type": "object", "additionalProperties": false })
}

/// A problem with one field of the input.
pub fn problem(path: impl Into<String>, code: &str, message: impl Into<String>) -> Problem {
    Problem { path: path.into(), code: code.to_owned(), message: message.into() }
}

/// Where the configured plugin stands between `configure` and the calls; made by the export macros.
#[doc(hidden)]
pub trait Slot: Plugin {
    fn slot() -> &'static RwLock<Option<Self>>;
}

/// The slot of one plugin.
#[doc(hidden)]
#[macro_export]
macro_rules! slot {
    ($plugin:ty) => {
        impl $crate::plugin::Slot for $plugin {
            fn slot() -> &'static std::sync::RwLock<Option<Self>> {
                static SLOT: std::sync::RwLock<Option<$plugin>> = std::sync::RwLock::new(None);
                &SLOT
            }
        }
    };
}

/// The manifest as JSON.
#[doc(hidden)]
pub fn describe<P: Plugin>(kind: &'static str) -> String {
    #[derive(Serialize)]
    struct Described {
        kind: &'static str,
        #[serde(flatten)]
        manifest: Manifest,
    }
    serde_json::to_string(&Described { kind, manifest: P::manifest() }).unwrap_or_default()
}

/// Reads the settings and puts the plugin that they make into its slot.
#[doc(hidden)]
pub fn configure<P: Slot>(settings: &str) -> Result<(), Vec<Problem>> {
    let plugin = P::configure(read_settings(settings)?)?;
    *P::slot().write().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(plugin);
    Ok(())
}

/// Calls the configured plugin. Without settings there is no answer: a rule must not judge by limits nobody chose.
#[doc(hidden)]
pub fn with<P: Slot, T>(call: impl FnOnce(&P) -> Result<T, Failure>) -> Result<T, Failure> {
    match P::slot().read().unwrap_or_else(std::sync::PoisonError::into_inner).as_ref() {
        Some(plugin) => call(plugin),
        None => Err(Failure {
            code: "NOT_CONFIGURED".to_owned(),
            message: "configure was not called, or refused its settings".to_owned(),
            retryable: false,
        }),
    }
}

fn read_settings<S: DeserializeOwned>(settings: &str) -> Result<S, Vec<Problem>> {
    if !document::is_object(settings) {
        return Err(vec![problem("", "INVALID_SETTING", "the settings must be one JSON object")]);
    }
    serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(settings)).map_err(|error| {
        // The path's own names for the root, and for where the text ends too early.
        let path = error.path().to_string();
        let path = path.trim_matches(['.', '?']);
        vec![problem(path, "INVALID_SETTING", error.into_inner().to_string())]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Limits {
        #[serde(default)]
        most: Option<u32>,
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (settings, path, said) in [
            (r#"{"most": "many"}"#, "most", "invalid type"),
            (r#"{"least": 1}"#, "least", "unknown field `least`"),
            ("{", "", "EOF"),
            ("[]", "", "one JSON object"),
        ] {
            let problems = read_settings::<Limits>(settings).unwrap_err();
            assert_eq!(problems[0].path, path);
            assert!(problems[0].message.contains(said), "{}", problems[0].message);
        }
        assert_eq!(read_settings::<Limits>("{}").unwrap().most, None);
    }
}
