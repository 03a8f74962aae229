//! What a plugin says about itself.

use std::collections::BTreeSet;

use cqar_domain::id::{EntityType, Segment};
use cqar_proto::v1;
use serde::{Deserialize, de::IgnoredAny};

use crate::{
    kinds::{KindRef, symbology::listing_url},
    text::{MAX_CODE_BYTES, clean},
};

/// The manifest, as `describe` returns it. Fields that this host does not know are passed over, and named.
#[derive(Debug, Clone)]
pub(crate) struct Manifest {
    pub(crate) version: String,
    pub(crate) kind: KindRef,
    pub(crate) subscriptions: Vec<EntityType>,
    /// Whether look-ups are wanted.
    pub(crate) looks_up: bool,
    /// The parts of the venue that a symbology knows.
    pub(crate) segments: Vec<Segment>,
    /// Where a symbology's listings begin.
    pub(crate) sources: Vec<v1::ListingSource>,
    /// The fields that this host does not know.
    pub(crate) unknown_fields: Vec<String>,
}

#[derive(Deserialize)]
struct Document {
    name: String,
    version: String,
    kind: KindRef,
    #[serde(default)]
    subscriptions: Vec<String>,
    #[serde(default)]
    grants: Vec<String>,
    #[serde(default)]
    segments: Vec<String>,
    #[serde(default)]
    sources: Vec<SourceDocument>,
    /// What people and tools read, and the host does not.
    #[serde(default, rename = "description")]
    _description: IgnoredAny,
    #[serde(default, rename = "settings_schema")]
    _settings_schema: IgnoredAny,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct SourceDocument {
    url: String,
    #[serde(default)]
    segment: String,
    #[serde(flatten)]
    unknown: serde_json::Map<String, serde_json::Value>,
}

/// The one grant that there is.
pub(crate) const REGISTRY_GRANT: &str = "registry";
const MAX_VERSION_BYTES: usize = 64;
/// A description is a paragraph, and a schema of settings some pages.
const MAX_MANIFEST_BYTES: usize = 256 << 10;
/// A venue has a handful of segments, and of addresses for each.
const MAX_SEGMENTS: usize = 64;
const MAX_SOURCES: usize = 256;
/// So many unknown fields are named.
const MAX_UNKNOWN: usize = 16;

impl Manifest {
    /// Reads the document of a plugin whose file has this stem. What cannot be honoured is refused: an unknown
    /// subscription would be a rule that never runs.
    pub(crate) fn read(document: &str, stem: &str) -> Result<Self, String> {
        if document.len() > MAX_MANIFEST_BYTES {
            return Err(format!("the manifest has {} bytes, and {MAX_MANIFEST_BYTES} are allowed", document.len()));
        }
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
            .collect::<Result<BTreeSet<_>, _>>()?;
        let subscriptions: Vec<EntityType> = subscriptions.into_iter().collect();
        if read.kind.0.judges_writes() && subscriptions.is_empty() {
            return Err("subscriptions: a validator must name an entity type".into());
        }
        if let Some(unknown) = read.grants.iter().find(|grant| *grant != REGISTRY_GRANT) {
            return Err(format!("grants: there is no grant {:?}, only {REGISTRY_GRANT:?}", clean(unknown, 64)));
        }
        if read.segments.len() > MAX_SEGMENTS || read.sources.len() > MAX_SOURCES {
            return Err(format!("segments, sources: at most {MAX_SEGMENTS} and {MAX_SOURCES}"));
        }
        let segment =
            |name: &String| name.parse::<Segment>().map_err(|error| format!("segments: {:?} {error}", clean(name, 64)));
        let segments = read.segments.iter().map(segment).collect::<Result<Vec<_>, _>>()?;
        for source in &read.sources {
            let names = |segment: &Segment| segment.as_str() == source.segment;
            if !source.segment.is_empty() && !segments.iter().any(names) {
                return Err(format!("sources: {:?} is none of the segments", clean(&source.segment, 64)));
            }
            listing_url(&source.url).map_err(|why| format!("sources: {why}"))?;
        }
        let of_sources = read.sources.iter().flat_map(|source| source.unknown.keys());
        let unknown = read.unknown.keys().cloned().chain(of_sources.map(|name| format!("sources.{name}")));
        let unknown: BTreeSet<String> = unknown.map(|name| clean(&name, MAX_CODE_BYTES)).take(MAX_UNKNOWN).collect();
        let source = |it: SourceDocument| v1::ListingSource { url: it.url, segment: it.segment };
        Ok(Self {
            segments,
            sources: read.sources.into_iter().map(source).collect(),
            unknown_fields: unknown.into_iter().collect(),
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
        "description": "Known.", "subscriptions": ["market"], "grants": ["registry"], "from_a_later_version": 1}"#;

    #[test]
    fn a_manifest_is_read_and_unknown_fields_are_passed_over_and_named() {
        let manifest = Manifest::read(MANIFEST, "market-sanity").unwrap();
        assert_eq!((manifest.kind, manifest.looks_up), (KindRef::from_name("validator").unwrap(), true));
        assert!(manifest.subscribes(EntityType::Market) && !manifest.subscribes(EntityType::Asset));
        assert_eq!(manifest.unknown_fields, ["from_a_later_version"]);
    }

    #[test]
    fn a_symbology_names_its_segments_and_where_its_listings_begin() {
        let symbology = |sources: &str| {
            let manifest = format!(
                r#"{{"name": "a", "version": "1", "kind": "symbology", "segments": ["spot"], "sources": [{sources}]}}"#
            );
            Manifest::read(&manifest, "a")
        };
        let read = symbology(r#"{"url": "https://api.example.com/markets", "segment": "spot", "weight": 2}"#).unwrap();
        assert_eq!((read.segments.len(), read.sources.len()), (1, 1));
        assert_eq!(read.unknown_fields, ["sources.weight"]);
        assert!(symbology(r#"{"url": "https://x", "segment": "usdm"}"#).unwrap_err().contains("none of the segments"));
        assert!(symbology(r#"{"url": "ftp://x", "segment": "spot"}"#).unwrap_err().contains("http"));
    }

    #[test]
    fn what_cannot_be_honoured_is_refused() {
        let refused = |from: &str, to: &str| Manifest::read(&MANIFEST.replace(from, to), "market-sanity").unwrap_err();
        assert!(refused("market-sanity", "other").contains("must be equal"));
        assert!(refused("[\"market\"]", "[\"token\"]").contains("token"));
        assert!(refused("[\"market\"]", "[]").contains("must name an entity type"));
        assert!(refused("\"registry\"", "\"files\"").contains("files"));
        assert!(refused("validator", "strategy").contains("there is no kind"));
        assert!(Manifest::read("", "x").is_err());
    }
}
