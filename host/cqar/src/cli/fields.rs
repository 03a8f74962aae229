//! The fields of entities as options of the command line: they follow from the contract's descriptors, so that a new field is an option
//! at once, with its comment as the help.

use std::sync::LazyLock;

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser};
use cqar_domain::id::EntityType;
use cqar_proto::convert;
use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};
use serde_json::{Map, Value};

use super::{
    client::Connection,
    entities::{EntityCommands, Lookup},
    error::CliError,
    output::short,
};

/// A field that can be given.
struct Field {
    /// Its names in the message, and in those within: `["spot", "base_asset_id"]`.
    path: Vec<String>,
    descriptor: FieldDescriptor,
}

/// Which fields are options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settable {
    /// All that a create takes.
    All,
    /// Those that an update may change.
    Mutable,
}

/// Adds the fields of a type of entity as options.
pub fn add_options(command: Command, of: &EntityCommands, which: Settable) -> Command {
    fields(of.entity_type, which).iter().fold(command, |command, field| command.arg(field.option(which)))
}

/// The message's JSON, as far as options were given. A field that refers to an entity may have its name.
pub async fn document(
    of: &EntityCommands,
    which: Settable,
    given: &ArgMatches,
    server: &Connection,
) -> Result<Map<String, Value>, CliError> {
    let mut document = Map::new();
    for field in fields(of.entity_type, which) {
        let Some(value) = field.value(given, server).await? else { continue };
        let Some((last, outer)) = field.path.split_last() else { continue };
        let within = outer.iter().try_fold(&mut document, |map, name| {
            map.entry(name.clone()).or_insert_with(|| Map::new().into()).as_object_mut()
        });
        if let Some(map) = within {
            map.insert(last.clone(), value);
        }
    }
    Ok(document)
}

fn fields(entity_type: EntityType, which: Settable) -> Vec<Field> {
    static POOL: LazyLock<Option<DescriptorPool>> =
        LazyLock::new(|| DescriptorPool::decode(cqar_proto::DESCRIPTORS).ok());
    let of_entity = POOL.as_ref().and_then(|pool| pool.get_message_by_name("cqar.v1.Entity"));
    let of_type = of_entity.and_then(|entity| entity.get_field_by_name(entity_type.name()));
    // A test holds that every type has fields.
    let Some(Kind::Message(message)) = of_type.map(|field| field.kind()) else { return Vec::new() };
    let [mutable, immutable] = convert::settable_fields(entity_type);
    let (id, immutable) = match which {
        Settable::All => (Some("id"), immutable),
        Settable::Mutable => (None, &[][..]),
    };
    let names = immutable.iter().chain(mutable).copied().chain(id);
    names.filter_map(|name| message.get_field_by_name(name)).flat_map(|field| nested(&[], field)).collect()
}

/// The field, or those of the message that it holds.
fn nested(outer: &[String], descriptor: FieldDescriptor) -> Vec<Field> {
    let path = [outer, &[descriptor.name().to_owned()]].concat();
    match descriptor.kind() {
        // A list of messages is an option of its own, which may be repeated.
        Kind::Message(message) if !descriptor.is_map() && !descriptor.is_list() && is_own(&message) => {
            message.fields().flat_map(|field| nested(&path, field)).collect()
        }
        _ => vec![Field { path, descriptor }],
    }
}

/// Whether it is one of the contract's, and none of those that JSON has as a text.
fn is_own(message: &MessageDescriptor) -> bool {
    message.package_name() == "cqar.v1"
}

impl Field {
    /// `tick-size`, `spot.base-asset-id`.
    fn name(&self) -> String {
        self.path.join(".").replace('_', "-")
    }

    /// What the parsed arguments call it, apart from those of other options.
    fn argument(&self) -> String {
        format!("field {}", self.name())
    }

    fn option(&self, which: Settable) -> Arg {
        let option = Arg::new(self.argument()).long(self.name()).help(self.help(which)).value_name(self.value_name());
        let option = if self.descriptor.is_list() || self.descriptor.is_map() {
            option.action(ArgAction::Append)
        } else {
            option.action(ArgAction::Set)
        };
        match self.descriptor.kind() {
            Kind::Enum(values) => option.value_parser(PossibleValuesParser::new(names(&values))).ignore_case(true),
            Kind::Bool => option.value_parser(["true", "false"]),
            _ => option,
        }
    }

    /// What an option's value is, for the help.
    fn value_name(&self) -> &'static str {
        match self.descriptor.kind() {
            _ if self.descriptor.is_map() => "KEY=VALUE",
            Kind::Message(message) if is_own(&message) => "FIELD=VALUE,…",
            Kind::Message(message) if message.name() == "Timestamp" => "TIME",
            Kind::Message(message) if message.name() == "Duration" => "DURATION",
            Kind::Enum(_) => "VALUE",
            Kind::Bool => "BOOL",
            _ => match self.referred() {
                Some(of) if of.entity_type.has_uuid() => "ID_OR_NAME",
                Some(_) => "ID",
                None => "TEXT",
            },
        }
    }

    /// The first sentence of the contract's comment.
    fn help(&self, which: Settable) -> String {
        let file = self.descriptor.parent_file();
        let places = file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
        let comment = places.filter(|place| place.path == self.descriptor.path()).find_map(|place| {
            place.leading_comments.as_deref().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        });
        let comment = comment.unwrap_or_default();
        let first = comment.split_once(". ").map_or(comment.as_str(), |(first, _)| first);
        let first = first.trim_end_matches('.').trim_end_matches("; immutable");
        match which {
            _ if !self.descriptor.is_list() && !self.descriptor.is_map() => first.to_owned(),
            Settable::All => format!("{first}; may be repeated"),
            Settable::Mutable => format!("{first}; may be repeated, and replaces all that there are"),
        }
    }

    /// The type of entity whose id it holds.
    fn referred(&self) -> Option<&'static EntityCommands> {
        let name = self.descriptor.name();
        let is_of = |it: &EntityType| {
            let field = convert::key_field(*it);
            name == field || name.strip_suffix(&field).is_some_and(|rest| rest.ends_with('_'))
        };
        // `venue_asset_id` ends in `asset_id`, too.
        let longest = EntityType::ALL.into_iter().filter(is_of).max_by_key(|it| it.name().len());
        longest.map(EntityCommands::of)
    }

    async fn value(&self, given: &ArgMatches, server: &Connection) -> Result<Option<Value>, CliError> {
        let Some(texts) = given.get_many::<String>(&self.argument()) else { return Ok(None) };
        let texts: Vec<&String> = texts.collect();
        if self.descriptor.is_map() {
            let pairs = texts.into_iter().filter(|text| !text.is_empty()).map(|text| self.pair(text));
            return Ok(Some(Value::Object(pairs.collect::<Result<_, _>>()?)));
        }
        let mut values = Vec::new();
        for text in texts {
            // `--aliases ''` is none of them.
            if !(self.descriptor.is_list() && text.is_empty()) {
                values.push(self.scalar(text, server).await?);
            }
        }
        Ok(if self.descriptor.is_list() { Some(Value::Array(values)) } else { values.pop() })
    }

    fn pair(&self, text: &str) -> Result<(String, Value), CliError> {
        let pair = text.split_once('=').map(|(key, value)| (key.to_owned(), Value::from(value)));
        pair.ok_or_else(|| self.refused(text, self.value_name()))
    }

    fn refused(&self, text: &str, expected: &str) -> CliError {
        CliError::Usage(format!("--{} {text:?} must be {expected}", self.name()))
    }

    /// One of a list of messages: `asset-id=BTC,weight=1`.
    async fn message(&self, message: &MessageDescriptor, text: &str, server: &Connection) -> Result<Value, CliError> {
        let mut document = Map::new();
        for part in parts(text) {
            let (name, value) = self.pair(part)?;
            let name = name.replace('-', "_");
            let Some(descriptor) = message.get_field_by_name(&name) else {
                let known: Vec<String> = message.fields().map(|field| field.name().replace('_', "-")).collect();
                let message = format!("--{} has no field {name:?}, but {}", self.name(), known.join(", "));
                return Err(CliError::Usage(message));
            };
            let field = Self { path: vec![name.clone()], descriptor };
            // A text, as pairs have them.
            let text = value.as_str().unwrap_or_default();
            let value = Box::pin(field.scalar(text, server)).await?;
            if document.insert(name, value).is_some() {
                return Err(CliError::Usage(format!("--{} gives {:?} twice", self.name(), field.name())));
            }
        }
        Ok(Value::Object(document))
    }

    async fn scalar(&self, text: &str, server: &Connection) -> Result<Value, CliError> {
        Ok(match self.descriptor.kind() {
            // Within a list of messages the parser of options has checked neither.
            Kind::Enum(values) => {
                let known = names(&values);
                if !known.contains(&text.to_ascii_lowercase()) {
                    return Err(self.refused(text, &format!("one of {}", known.join(", "))));
                }
                Value::from(format!("{}{}", prefix(&values), text.to_ascii_uppercase().replace('-', "_")))
            }
            Kind::Bool => Value::from(text.parse::<bool>().map_err(|_| self.refused(text, "true or false"))?),
            Kind::Message(message) if is_own(&message) => self.message(&message, text, server).await?,
            // An empty text takes the value back.
            Kind::Message(_) if text.is_empty() => Value::Null,
            Kind::Message(message) if message.name() == "Duration" => {
                let duration = cqar_domain::quantity::parse_duration(text);
                let duration = duration.map_err(|why| CliError::Usage(format!("--{} {why}", self.name())))?;
                let nanos = duration.subsec_nanos();
                let fraction = if nanos == 0 { String::new() } else { format!(".{nanos:09}") };
                Value::from(format!("{}{fraction}s", duration.as_secs()))
            }
            _ => match self.referred().filter(|_| !text.is_empty()) {
                Some(of) => Value::from(of.id_of(server, text, Lookup::default()).await?),
                None => Value::from(text),
            },
        })
    }
}

/// The fields of one of a list of messages. A comma begins another only where a name and `=` follow: addresses may have commas.
fn parts(text: &str) -> Vec<&str> {
    let is_name = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || "-_".contains(c));
    let (mut parts, mut rest) = (Vec::new(), text);
    let begins = text.match_indices(',').map(|(at, _)| at + 1);
    let begins = begins.filter(|at| text.get(*at..).and_then(|it| it.split_once('=')).is_some_and(|it| is_name(it.0)));
    for begin in begins.collect::<Vec<_>>().into_iter().rev() {
        if let Some((before, part)) = rest.split_at_checked(begin) {
            parts.push(part);
            rest = before.strip_suffix(',').unwrap_or(before);
        }
    }
    parts.push(rest);
    parts.reverse();
    parts
}

/// What the values of an enumeration are called on the command line: `stablecoin`, `pre-launch`.
fn names(values: &EnumDescriptor) -> Vec<String> {
    let told = values.values().filter(|value| value.number() != 0);
    told.map(|value| short(value.name(), &prefix(values)).to_ascii_lowercase().replace('_', "-")).collect()
}

/// What the values of an enumeration begin with, as its zero tells.
fn prefix(values: &EnumDescriptor) -> String {
    let zero = values.default_value();
    zero.name().strip_suffix("UNSPECIFIED").unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(entity_type: EntityType, which: Settable) -> Vec<(String, &'static str, String)> {
        let described = |field: &Field| (field.name(), field.value_name(), field.help(which));
        fields(entity_type, which).iter().map(described).collect()
    }

    #[test]
    fn every_field_that_can_be_given_is_an_option_with_its_help() {
        for entity_type in EntityType::ALL {
            let options = options(entity_type, Settable::All);
            let expected = convert::settable_fields(entity_type).concat().len() + 1;
            assert!(options.len() >= expected, "{entity_type}: {options:?}");
            assert!(options.iter().all(|(.., help)| !help.is_empty()), "{options:?}");
        }
        let market = options(EntityType::Market, Settable::All);
        let option = |name: &str| market.iter().find(|(it, ..)| it == name).unwrap().1;
        assert_eq!(option("venue-id"), "ID");
        assert_eq!(option("instrument-id"), "ID_OR_NAME");
        assert_eq!((option("status"), option("labels"), option("listed-time")), ("VALUE", "KEY=VALUE", "TIME"));
        assert!(options(EntityType::Market, Settable::Mutable).iter().all(|(name, ..)| name != "venue-symbol"));
        let group = options(EntityType::Group, Settable::All);
        assert!(group.iter().any(|(name, value, _)| name == "members" && *value == "FIELD=VALUE,…"), "{group:?}");
        let instrument = options(EntityType::Instrument, Settable::All);
        assert!(instrument.iter().any(|(name, ..)| name == "option.base-asset-id"), "{instrument:?}");
    }

    #[test]
    fn a_comma_begins_a_field_only_where_a_name_follows() {
        assert_eq!(parts("asset-id=BTC,weight=0.4"), ["asset-id=BTC", "weight=0.4"]);
        let pool = "contract-address=0x1::pool::LP<0x1::a::A,0x1::b::B>";
        assert_eq!(parts(&format!("network=APT,{pool},confirmations=3")), ["network=APT", pool, "confirmations=3"]);
        assert_eq!(parts("weight"), ["weight"]);
        assert_eq!(parts("asset-id=A,,weight=1"), ["asset-id=A,", "weight=1"]);
    }

    #[test]
    fn values_of_enumerations_are_named_as_tables_show_them() {
        let status =
            fields(EntityType::Market, Settable::All).into_iter().find(|field| field.name() == "status").unwrap();
        let Kind::Enum(values) = status.descriptor.kind() else { panic!() };
        assert_eq!((prefix(&values).as_str(), names(&values)[1].as_str()), ("MARKET_STATUS_", "pre-launch"));
    }
}
