//! What a plugin says about itself.

use cqar_domain::id::EntityType;
use serde::{Deserialize, Serialize};

use crate::text::clean;

/// The kinds of plugin, one for each world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Validator,
    Symbology,
    Transform,
}

impl Kind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Validator => "validator",
            Self::Symbology => "symbology",
            Self::Transform => "transform",
        }
    }
}

/// The manifest, as `describe` returns it. Fields that this host does not know are passed over.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    pub(crate) kind: Kind,
    pub(crate) subscriptions: Vec<EntityType>,
    /// Whether look-ups are wanted.
    pub(crate) looks_up: bool,
}

#[derive(Deserialize)]
struct Document {
    name: String,
    version: String,
    kind: Kind,
    #[serde(default)]
    subscriptions: Vec<String>,
    #[serde(default)]
    grants: Vec<String>,
}

/// The one grant that there is.
pub(crate) const REGISTRY_GRANT: &str = "registry";
const MAX_VERSION_BYTES: usize = 64;

impl Manifest {
    /// Reads the document of a plugin whose file has this stem. What cannot be honoured is refused: an unknown
    /// subscription would be a rule that never runs.
    pub(crate) fn read(document: &str, stem: &str) -> Result<Self, String> {
        let read: Document =
            serde_json::from_str(document).map_err(|error| format!("the manifest cannot be read: {error}"))?;
        if read.name != stem {
            let name = clean(&read.name, 64);
            return Err(format!("the manifest's name is {name:?}, but the file is {stem:?}: they must be equal"));
        }
        let subscriptions = read
            .subscriptions
            .iter()
            .map(|name| {
                EntityType::from_name(name)
                    .ok_or_else(|| format!("subscriptions: there is no entity type {:?}", clean(name, 64)))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if read.kind == Kind::Validator && subscriptions.is_empty() {
            return Err("subscriptions: a validator must name an entity type".into());
        }
        if let Some(unknown) = read.grants.iter().find(|grant| *grant != REGISTRY_GRANT) {
            return Err(format!("grants: there is no grant {:?}, only {REGISTRY_GRANT:?}", clean(unknown, 64)));
        }
        Ok(Self {
            version: clean(&read.version, MAX_VERSION_BYTES),
            kind: read.kind,
            subscriptions,
            looks_up: !read.grants.is_empty(),
        })
    }

    /// Whether entities of this type are its business.
    pub(crate) fn subscribes(&self, entity_type: EntityType) -> bool {
        self.subscriptions.contains(&entity_type)
    }
}

/// Whether a file's stem can be a plugin's name: a slug.
pub(crate) fn is_name(stem: &str) -> bool {
    stem.parse::<cqar_domain::id::VenueId>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANIFEST: &str = r#"{"name": "market-sanity", "version": "0.1.0", "kind": "validator",
        "subscriptions": ["market"], "grants": ["registry"], "from_a_later_version": 1}"#;

    #[test]
    fn a_manifest_is_read_and_unknown_fields_are_passed_over() {
        let manifest = Manifest::read(MANIFEST, "market-sanity").unwrap();
        assert_eq!((manifest.kind, manifest.looks_up), (Kind::Validator, true));
        assert!(manifest.subscribes(EntityType::Market) && !manifest.subscribes(EntityType::Asset));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let refused = |from: &str, to: &str| Manifest::read(&MANIFEST.replace(from, to), "market-sanity").unwrap_err();
        assert!(refused("market-sanity", "other").contains("must be equal"));
        assert!(refused("[\"market\"]", "[\"token\"]").contains("token"));
        assert!(refused("[\"market\"]", "[]").contains("must name an entity type"));
        assert!(refused("\"registry\"", "\"files\"").contains("files"));
        assert!(refused("validator", "strategy").contains("unknown variant"));
        assert!(Manifest::read("", "x").is_err());
    }
}
