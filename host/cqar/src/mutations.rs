//! Files of mutations, as `cqar apply` and the starter dataset have them: an `ApplyRequest` in YAML, or in JSON.

use std::{
    collections::BTreeMap,
    fmt, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use cqar_proto::{
    v1::{ApplyRequest, mutation::Operation},
    well_known::FieldMask,
};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, MapAccess, Visitor},
};
use serde_path_to_error as path_to_error;

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
    let mut whole = ApplyRequest::default();
    for path in files {
        // Every field by name: a new one that is forgotten here would be lost without a word.
        let ApplyRequest { mutations, request_id, validate_only, reason, effective_time } = parse(path, &text(path)?)?;
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
    let mut request: ApplyRequest = read_as(path, text)?;
    let written: WrittenRequest = read_as(path, text)?;
    for (mutation, written) in request.mutations.iter_mut().zip(written.mutations) {
        if let (Some(Operation::Update(_)), None) = (&mutation.operation, &mutation.update_mask) {
            let keys = written.update.into_values().flat_map(|keys| keys.0);
            let paths = keys.map(|key| snake_case(&key)).filter(|key| key != "id" && key != "etag").collect();
            mutation.update_mask = Some(FieldMask { paths });
        }
    }
    Ok(request)
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

fn read_as<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T, MutationsError> {
    let invalid = |message: String| MutationsError::Invalid { path: path.to_owned(), message };
    if path.extension().is_some_and(|extension| extension == "json") {
        let mut json = serde_json::Deserializer::from_str(text);
        let request = path_to_error::deserialize(&mut json).map_err(|error| invalid(error.to_string()))?;
        return json.end().map(|()| request).map_err(|error| invalid(error.to_string()));
    }
    // Straight into the message, so that `tick_size: 0.010` and `symbol: 1000` arrive as they are written. JSON on the
    // standard input is YAML too.
    let options =
        serde_saphyr::options! { with_snippet: false, budget: serde_saphyr::budget! { max_nodes: MAX_NODES } };
    let mut place = String::new();
    serde_saphyr::with_deserializer_from_str_with_options(text, options, |yaml| {
        path_to_error::deserialize(yaml).map_err(|error| {
            place = error.path().to_string();
            error.into_inner()
        })
    })
    .map_err(|error| {
        invalid(if place == "." || place.is_empty() { error.to_string() } else { format!("{place}: {error}") })
    })
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
