//! Files of mutations, as `cqar apply` and the starter dataset have them: an `ApplyRequest` in YAML, or in JSON. And files of one entity, as
//! `cqar get` prints it.

mod plain;

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read as _},
    marker::PhantomData,
    path::{Path, PathBuf},
};

use cqar_domain::id::EntityType;
use cqar_proto::{
    convert,
    v1::{ApplyRequest, entity::Entity, mutation::Operation},
    well_known::FieldMask,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_path_to_error as path_to_error;

use self::plain::plain;

/// Why a file is no list of mutations.
#[derive(Debug, thiserror::Error)]
pub enum MutationsError {
    /// It cannot be read.
    #[error("{}: cannot be read: {source}", path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error("{}: {message}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The path within it, and what is wrong there.
        message: String,
    },
    /// There is nothing to send.
    #[error("{}: has no *.yaml file", path.display())]
    Empty {
        /// The directory.
        path: PathBuf,
    },
}

/// The mutations of all the files as one request, in the order of the files; `-` is the standard input.
pub fn read(files: &[PathBuf]) -> Result<ApplyRequest, MutationsError> {
    let texts = files.iter().map(|path| Ok((path.as_path(), text(path)?)));
    together(texts.collect::<Result<Vec<_>, MutationsError>>()?)
}

/// The mutations of all the texts, each of which has a name.
pub fn together<'a>(
    texts: impl IntoIterator<Item = (&'a Path, impl AsRef<str>)>,
) -> Result<ApplyRequest, MutationsError> {
    let mut whole = ApplyRequest::default();
    for (path, text) in texts {
        // Every field by name: a new one that is forgotten here would be lost without a word.
        let ApplyRequest { mutations, request_id, validate_only, reason, effective_time } = parse(path, text.as_ref())?;
        whole.mutations.extend(mutations);
        whole.validate_only |= validate_only;
        whole.effective_time = effective_time.or(whole.effective_time);
        if !request_id.is_empty() {
            whole.request_id = request_id;
        }
        if !reason.is_empty() {
            whole.reason = reason;
        }
    }
    Ok(whole)
}

/// One entity from a file, as `cqar get` prints it, and the fields that the file has; `-` is the standard input.
pub fn read_entity(entity_type: EntityType, path: &Path) -> Result<(Entity, Vec<String>), MutationsError> {
    parse_entity(entity_type, path, &text(path)?)
}

/// The same from a text, which has a name.
pub fn parse_entity(entity_type: EntityType, path: &Path, text: &str) -> Result<(Entity, Vec<String>), MutationsError> {
    let entity = read_as(path, text, OfType(entity_type))?;
    let Keys(keys) = read_as(path, text, PhantomData)?;
    Ok((entity, masked(keys)))
}

/// Reads the message of a type of entity.
struct OfType(EntityType);

impl<'de> DeserializeSeed<'de> for OfType {
    type Value = Entity;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entity, D::Error> {
        convert::deserialize(self.0, deserializer)
    }
}

/// The mutations of every `*.yaml` file of a directory, in the order of their names.
pub fn read_directory(dir: &Path) -> Result<ApplyRequest, MutationsError> {
    let unreadable = |source| MutationsError::Unreadable { path: dir.to_owned(), source };
    let entries = fs::read_dir(dir).map_err(unreadable)?;
    let mut files =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>().map_err(unreadable)?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    files.sort();
    if files.is_empty() { Err(MutationsError::Empty { path: dir.to_owned() }) } else { read(&files) }
}

fn text(path: &Path) -> Result<String, MutationsError> {
    let mut text = String::new();
    let read = match path.to_str() {
        Some("-") => io::stdin().lock().read_to_string(&mut text),
        _ => fs::File::open(path).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.map_err(|source| MutationsError::Unreadable { path: path.to_owned(), source })?;
    Ok(text)
}

/// A request whose updates take the fields that the file has.
fn parse(path: &Path, text: &str) -> Result<ApplyRequest, MutationsError> {
    let mut request: ApplyRequest = read_as(path, text, PhantomData)?;
    let written: WrittenRequest = read_as(path, text, PhantomData)?;
    for (mutation, written) in request.mutations.iter_mut().zip(written.mutations) {
        if let (Some(Operation::Update(_)), None) = (&mutation.operation, &mutation.update_mask) {
            let keys = written.update.into_values().flat_map(|keys| keys.0);
            mutation.update_mask = Some(FieldMask { paths: masked(keys) });
        }
    }
    Ok(request)
}

/// The fields that an update takes, of those that a file has.
fn masked(keys: impl IntoIterator<Item = String>) -> Vec<String> {
    keys.into_iter().map(|key| snake_case(&key)).filter(|key| key != "id" && key != "etag").collect()
}

/// The keys that a file has, which a message no longer tells: `is_active: false` is no absent field.
#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenRequest {
    mutations: Vec<WrittenMutation>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct WrittenMutation {
    /// The fields of the entity, under its type.
    update: BTreeMap<String, Keys>,
}

/// The keys of a map, whatever it holds.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, IgnoredAny)) = map.next_entry()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}

/// The proto's name of a field; JSON may have it in camel case.
fn snake_case(key: &str) -> String {
    let mut name = String::with_capacity(key.len());
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn read_as<T>(
    path: &Path,
    text: &str,
    what: impl for<'de> DeserializeSeed<'de, Value = T>,
) -> Result<T, MutationsError> {
    let invalid = |place: &str, why: &str| {
        let message = if matches!(place, "." | "" | "?") { plain(why) } else { format!("{place}: {}", plain(why)) };
        MutationsError::Invalid { path: path.to_owned(), message }
    };
    let mut track = path_to_error::Track::new();
    if path.extension().is_some_and(|extension| extension == "json") {
        let mut json = serde_json::Deserializer::from_str(text);
        let request = what.deserialize(path_to_error::Deserializer::new(&mut json, &mut track));
        let request = request.map_err(|error| invalid(&track.path().to_string(), &error.to_string()))?;
        return json.end().map(|()| request).map_err(|error| invalid("", &error.to_string()));
    }
    // Straight into the message, so that `tick_size: 0.010` and `symbol: 1000` arrive as they are written. JSON on the
    // standard input is YAML too.
    let options =
        serde_saphyr::options! { with_snippet: false, budget: serde_saphyr::budget! { max_nodes: MAX_NODES } };
    let read = serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
        what.deserialize(path_to_error::Deserializer::new(yaml, &mut track))
    });
    read.map_err(|error| invalid(&track.path().to_string(), &error.to_string()))
}

/// The largest request has 10,000 mutations, each of at most some hundred fields with their names.
const MAX_NODES: usize = 4_000_000;

#[cfg(test)]
mod tests {
    use cqar_proto::v1::{AssetType, MarketStatus, entity::Entity, entity_key::Key};

    use super::*;

    const YAML: &str = r"
mutations:
- ref: btc
  allow_existing: true
  create: {asset: {symbol: BTC, name: Bitcoin, type: ASSET_TYPE_COIN, labels: {rank: 1}}}
- create:
    market:
      venue_id: binance
      segment: spot
      venue_symbol: 1000
      instrument_id: $btc-usdt
      tick_size: 0.010
      lot_size: 1e-5
      status: MARKET_STATUS_ACTIVE
      listed_time: 2017-08-17T04:00:00Z
      funding_interval: 28800s
- delete: {asset_id: $btc}
  update_mask: symbol,name
";

    fn created(operation: Option<Operation>) -> Option<Entity> {
        match operation {
            Some(Operation::Create(entity)) => entity.entity,
            _ => None,
        }
    }

    #[test]
    fn an_update_takes_the_fields_that_the_file_has() {
        let yaml = "mutations: [{update: {venue: {id: x, is_active: false, website_url: ''}}}]";
        let json = r#"{"mutations": [{"update": {"venue": {"id": "x", "isActive": false, "websiteUrl": ""}}}]}"#;
        for (name, text) in [("a.yaml", yaml), ("a.json", json)] {
            let request = parse(Path::new(name), text).unwrap();
            let mask = request.mutations[0].update_mask.clone().unwrap();
            assert_eq!(mask.paths, ["is_active", "website_url"], "{name}");
        }
        let own = "mutations: [{update: {venue: {id: x, name: X}}, update_mask: mic}, {delete: {venue_id: x}}]";
        let [update, delete] = parse(Path::new("b.yaml"), own).unwrap().mutations.try_into().unwrap();
        assert_eq!((update.update_mask.unwrap().paths, delete.update_mask), (vec!["mic".to_owned()], None));
    }

    #[test]
    fn yaml_arrives_as_it_is_written() {
        let request = parse(Path::new("a.yaml"), YAML).unwrap();
        let [asset, market, _] = request.mutations.try_into().unwrap();
        let Some(Entity::Asset(bitcoin)) = created(asset.operation) else { panic!() };
        assert_eq!((asset.r#ref.as_str(), asset.allow_existing), ("btc", true));
        assert_eq!(bitcoin.r#type(), AssetType::Coin);
        assert_eq!(bitcoin.labels["rank"], "1");
        let Some(Entity::Market(market)) = created(market.operation) else { panic!() };
        assert_eq!((market.venue_symbol.as_str(), market.tick_size.as_str()), ("1000", "0.010"));
        assert_eq!(market.lot_size, "1e-5");
        assert_eq!(market.status(), MarketStatus::Active);
        assert_eq!(market.listed_time.unwrap().seconds, 1_502_942_400);
        assert_eq!(market.funding_interval.unwrap().seconds, 28_800);
    }

    #[test]
    fn json_is_read_from_files_and_from_the_standard_input() {
        let json = r#"{"mutations": [{"delete": {"asset_id": "x"}, "etag": "\"7\""}], "validate_only": true}"#;
        for name in ["a.json", "-"] {
            let request = parse(Path::new(name), json).unwrap();
            assert!(request.validate_only && request.mutations.len() == 1);
        }
    }

    #[test]
    fn an_error_names_the_file_and_the_path() {
        let bad = YAML.replace("tick_size", "tick_sise");
        let said = parse(Path::new("bad.yaml"), &bad).unwrap_err().to_string();
        assert!(said.starts_with("bad.yaml: mutations[1].create.market") && said.contains("tick_sise"), "{said}");
        assert!(said.contains("line 12"), "{said}");
        let json = r#"{"mutations": [{"create": {"asset": {"symbol": 5}}}]}"#;
        let said = parse(Path::new("bad.json"), json).unwrap_err().to_string();
        assert!(said.starts_with("bad.json: mutations[0].create.asset.symbol"), "{said}");
    }

    #[test]
    fn a_directory_is_read_in_the_order_of_names() {
        let dir = tempfile::tempdir().unwrap();
        assert!(matches!(read_directory(dir.path()), Err(MutationsError::Empty { .. })));
        for (name, id) in [("20-b.yaml", "second"), ("10-a.yaml", "first")] {
            fs::write(dir.path().join(name), format!("mutations: [{{delete: {{chain_id: {id}}}}}]")).unwrap();
        }
        fs::write(dir.path().join("README.md"), "no mutations").unwrap();
        let chains: Vec<_> = read_directory(dir.path()).unwrap().mutations;
        let named = |mutation: &cqar_proto::v1::Mutation| match &mutation.operation {
            Some(Operation::Delete(key)) => match &key.key {
                Some(Key::ChainId(id)) => id.clone(),
                _ => String::new(),
            },
            _ => String::new(),
        };
        assert_eq!(chains.iter().map(named).collect::<Vec<_>>(), ["first", "second"]);
    }
}
