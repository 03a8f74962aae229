//! What a change alters: what answers in L1 depend on, and the keys of values in L2.

use std::{fmt, time::Duration};

use cqar_domain::{
    entities::Entity,
    event::{LogPosition, LoggedEvent},
    id::{AssetId, EntityKey, EntityType, IdError, InstrumentId, VenueId},
    unique_key::UniqueKey,
    violation::Violation,
};
use cqar_proto::{
    convert,
    v1::{self, entity::Entity as Message},
};
use prost::Message as _;

/// What a change can alter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    /// An entity.
    Entity(EntityKey),
    /// What a venue's symbol or alias means, in any of its segments.
    Symbol(VenueId, String),
    /// What a venue knows by a code, in any of its segments.
    VenueCode(VenueId, String),
    /// Where, and under which symbols, an instrument trades.
    Listings(InstrumentId),
    /// Which instruments have a canonical code.
    Code(String),
    /// Which entity has a unique key.
    Unique(UniqueKey),
    /// What an asset is of others, and others are of it.
    Related(AssetId),
}

impl Key {
    /// How long a value of this key is kept at most.
    pub fn ttl(&self) -> Duration {
        match self {
            Self::Entity(key) => key.entity_type().cache_ttl(),
            Self::Symbol(..) | Self::Listings(..) => EntityType::Market.cache_ttl(),
            Self::Code(_) => EntityType::Instrument.cache_ttl(),
            Self::VenueCode(..) => EntityType::VenueAsset.cache_ttl(),
            Self::Related(_) => EntityType::Relationship.cache_ttl(),
            Self::Unique(key) => key.entity_type().map_or(Duration::ZERO, EntityType::cache_ttl),
        }
    }
}

/// The name in Redis, below the log's prefix. No venue has a colon, so that no two keys share a name.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Entity(key) => write!(f, "{}:{}", key.entity_type(), key.id()),
            Self::Symbol(venue, symbol) => write!(f, "symbol:{venue}:{symbol}"),
            Self::VenueCode(venue, code) => write!(f, "venue_code:{venue}:{code}"),
            Self::Listings(instrument) => write!(f, "listings:{instrument}"),
            Self::Code(code) => write!(f, "code:{code}"),
            Self::Unique(key) => write!(f, "unique:{key}"),
            Self::Related(asset) => write!(f, "related:{asset}"),
        }
    }
}

/// An event of which it cannot be said what it alters: the log is damaged. Caches must then forget everything.
#[derive(Debug, thiserror::Error)]
#[error("event {position} of the log cannot be read")]
pub struct UnreadableEvent {
    position: LogPosition,
    #[source]
    cause: Unreadable,
}

#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error(transparent)]
    Body(#[from] prost::DecodeError),
    #[error(transparent)]
    Id(#[from] IdError),
    #[error("the event of a {0} holds none")]
    NoEntity(EntityType),
    #[error("{}: {}", .0.field, .0.message)]
    Field(Violation),
}

/// What the event alters: the entity, and who has its unique keys, those before and those after; for a market what its symbol and
/// aliases mean at its venue, and where its instrument trades; for an instrument what its code means.
pub fn changed_keys(event: &LoggedEvent) -> Result<Vec<Key>, UnreadableEvent> {
    let mut keys = vec![Key::Entity(event.key.clone())];
    // An asset is found by its id alone.
    if event.key.entity_type() != EntityType::Asset {
        changed_lookups(event, &mut keys).map_err(|cause| UnreadableEvent { position: event.position, cause })?;
    }
    Ok(keys)
}

fn changed_lookups(event: &LoggedEvent, keys: &mut Vec<Key>) -> Result<(), Unreadable> {
    let entity_type = event.key.entity_type();
    let body = v1::Event::decode(event.body.clone())?;
    let mut add = |key| {
        if !keys.contains(&key) {
            keys.push(key);
        }
    };
    let sides: Vec<_> = [body.before, body.after].into_iter().flatten().collect();
    if sides.is_empty() {
        return Err(Unreadable::NoEntity(entity_type));
    }
    for side in sides {
        match side.entity {
            // Of these there are millions, and what they alter is read without all the rest.
            Some(Message::Market(market)) if entity_type == EntityType::Market => {
                let venue: VenueId = market.venue_id.parse()?;
                add(Key::Listings(market.instrument_id.parse()?));
                for symbol in std::iter::once(market.venue_symbol).chain(market.aliases) {
                    add(Key::Symbol(venue.clone(), symbol));
                }
            }
            Some(Message::Instrument(instrument)) if entity_type == EntityType::Instrument => {
                add(Key::Code(instrument.code));
            }
            Some(entity) if entity.entity_type() == entity_type => {
                let entity = convert::stored(v1::Entity { entity: Some(entity) });
                let entity = entity.map_err(|found| Unreadable::of(entity_type, found))?;
                entity.unique_keys().into_iter().for_each(|(_, key)| add(Key::Unique(key)));
                match entity {
                    Entity::Relationship(it) => {
                        add(Key::Related(it.from_asset_id));
                        add(Key::Related(it.to_asset_id));
                    }
                    Entity::VenueAsset(it) => add(Key::VenueCode(it.venue_id.clone(), it.code.clone())),
                    _ => {}
                }
            }
            _ => return Err(Unreadable::NoEntity(entity_type)),
        }
    }
    Ok(())
}

impl Unreadable {
    fn of(entity_type: EntityType, found: Vec<Violation>) -> Self {
        found.into_iter().next().map_or(Self::NoEntity(entity_type), Self::Field)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cqar_domain::{
        event::EventType,
        id::{IdSource, MarketId, SystemIds},
    };

    use super::*;

    fn market_event(before: Option<v1::Market>, after: Option<v1::Market>) -> LoggedEvent {
        let side = |market: Option<v1::Market>| market.map(|it| v1::Entity { entity: Some(Message::Market(it)) });
        let body = v1::Event { before: side(before), after: side(after), ..Default::default() };
        LoggedEvent {
            position: LogPosition::start_of(1),
            event_type: EventType::from_name("market_updated").unwrap(),
            key: EntityKey::Market(MarketId::new(&SystemIds)),
            venue: "binance".parse().ok(),
            body: body.encode_to_vec().into(),
        }
    }

    fn market(instrument: InstrumentId, aliases: &[&str]) -> v1::Market {
        v1::Market {
            venue_id: "binance".into(),
            venue_symbol: "BTCUSDT".into(),
            instrument_id: instrument.to_string(),
            aliases: aliases.iter().map(ToString::to_string).collect(),
            ..Default::default()
        }
    }

    #[test]
    fn a_markets_change_alters_its_old_and_its_new_symbols() {
        let venue: VenueId = "binance".parse().unwrap();
        let instrument = InstrumentId::from_uuid(SystemIds.uuid()).unwrap();
        let event = market_event(Some(market(instrument, &["OLD"])), Some(market(instrument, &["NEW"])));
        let symbol = |s: &str| Key::Symbol(venue.clone(), s.into());
        assert_eq!(
            changed_keys(&event).unwrap(),
            [
                Key::Entity(event.key.clone()),
                Key::Listings(instrument),
                symbol("BTCUSDT"),
                symbol("OLD"),
                symbol("NEW")
            ]
        );
    }

    #[test]
    fn an_event_that_cannot_be_read_is_an_error_and_never_a_change_of_nothing() {
        assert!(changed_keys(&market_event(None, None)).is_err());
        let garbage = LoggedEvent { body: Bytes::from_static(b"\xff"), ..market_event(None, None) };
        assert_eq!(changed_keys(&garbage).unwrap_err().to_string(), "event 1.0 of the log cannot be read");
    }
}
