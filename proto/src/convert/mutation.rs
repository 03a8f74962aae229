//! Mutations: creations, updates with their masks, and the references within one `Apply`.

use std::collections::HashMap;

use cqar_domain::{
    entity::{Entity, EntityKey, EntityType},
    id::IdSource,
    mutation::{Mutation, Patch},
    violation::{Violation, Violations},
};

use super::{
    Reader,
    mask::{Masked, lay_over},
};
use crate::{
    v1::{self, entity::Entity as Message, mutation::Operation},
    well_known::FieldMask,
};

/// A creation of the entity.
pub fn create(entity: v1::Entity, allow_existing: bool, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
    let mut reader = Reader::new(ids);
    let read = read_entity(&mut reader, entity);
    Ok(Mutation::Create { entity: reader.finish(read)?, allow_existing })
}

/// An update of the entity whose id the message has, by its fields in the mask.
pub fn update(entity: v1::Entity, mask: Option<FieldMask>) -> Result<Mutation, Vec<Violation>> {
    let mut found = Violations::default();
    let (entity_type, id, etag) = identity(&entity);
    let key = entity_type.map(|entity_type| EntityKey::parse(entity_type, id));
    let key = key.and_then(|key| found.take("id", key));
    let etag = (!etag.is_empty()).then(|| etag.to_owned());
    match key {
        Some(key) if found.is_empty() => Ok(Mutation::Update { key, etag, patch: patch(entity, mask) }),
        _ => Err(found.into_vec()),
    }
}

fn patch(from: v1::Entity, mask: Option<FieldMask>) -> Patch {
    let mask = mask.unwrap_or_default().paths;
    Patch::new(move |before| {
        let mut found = Violations::default();
        let mut onto = v1::Entity::from(before);
        if let (Some(onto), Some(from)) = (&mut onto.entity, &from.entity) {
            lay_entity_over(onto, from, &mask, &mut found);
        }
        found.into_result()?;
        // An update makes no id: the message has one.
        let mut reader = Reader::new(&cqar_domain::id::SystemIds);
        let read = read_entity(&mut reader, onto);
        let mut after = reader.finish(read)?;
        *after.meta_mut() = *before.meta();
        if let (Entity::Instrument(after), Entity::Instrument(before)) = (&mut after, before) {
            after.code.clone_from(&before.code);
        }
        Ok(after)
    })
}

fn lay_entity_over(onto: &mut Message, from: &Message, mask: &[String], found: &mut Violations) {
    fn lay<M: Masked>(onto: &mut M, from: &M, mask: &[String], found: &mut Violations) {
        lay_over(onto, from, mask, found);
    }
    match (onto, from) {
        (Message::Asset(onto), Message::Asset(from)) => lay(onto, from, mask, found),
        (Message::Chain(onto), Message::Chain(from)) => lay(onto, from, mask, found),
        (Message::Venue(onto), Message::Venue(from)) => lay(onto, from, mask, found),
        (Message::VenueAsset(onto), Message::VenueAsset(from)) => lay(onto, from, mask, found),
        (Message::Instrument(onto), Message::Instrument(from)) => lay(onto, from, mask, found),
        (Message::Market(onto), Message::Market(from)) => lay(onto, from, mask, found),
        // The key names the type, so both have it.
        _ => {}
    }
}

pub(super) fn read_entity(reader: &mut Reader<'_>, entity: v1::Entity) -> Option<Entity> {
    match entity.entity {
        Some(Message::Asset(it)) => reader.asset(it).map(Entity::Asset),
        Some(Message::Chain(it)) => reader.chain(it).map(Entity::Chain),
        Some(Message::Venue(it)) => reader.venue(it).map(Entity::Venue),
        Some(Message::VenueAsset(it)) => reader.venue_asset(it).map(Entity::VenueAsset),
        Some(Message::Instrument(it)) => reader.instrument(it).map(Entity::Instrument),
        Some(Message::Market(it)) => reader.market(it).map(Entity::Market),
        None => {
            reader.found.add("", "REQUIRED", "the entity must be given");
            None
        }
    }
}

fn identity(entity: &v1::Entity) -> (Option<EntityType>, &str, &str) {
    match &entity.entity {
        Some(Message::Asset(it)) => (Some(EntityType::Asset), &it.id, &it.etag),
        Some(Message::Chain(it)) => (Some(EntityType::Chain), &it.id, &it.etag),
        Some(Message::Venue(it)) => (Some(EntityType::Venue), &it.id, &it.etag),
        Some(Message::VenueAsset(it)) => (Some(EntityType::VenueAsset), &it.id, &it.etag),
        Some(Message::Instrument(it)) => (Some(EntityType::Instrument), &it.id, &it.etag),
        Some(Message::Market(it)) => (Some(EntityType::Market), &it.id, &it.etag),
        None => (None, "", ""),
    }
}

/// Reads the mutations of an `Apply`, each with the name of its field for messages about it. Violations stand under
/// `mutations[i].<operation>`.
pub fn mutations(messages: Vec<v1::Mutation>, ids: &dyn IdSource) -> Result<Vec<(String, Mutation)>, Vec<Violation>> {
    let mut refs = HashMap::new();
    let mut read = Vec::with_capacity(messages.len());
    let mut violations = Vec::new();
    for (i, message) in messages.into_iter().enumerate() {
        let operation = message.operation.as_ref().map_or("", operation_name);
        let path = format!("mutations[{i}]{}{operation}", if operation.is_empty() { "" } else { "." });
        match mutation(message, &mut refs, ids) {
            Ok(mutation) => read.push((path, mutation)),
            Err(found) => violations.extend(found.into_iter().map(|violation| {
                let of_mutation =
                    matches!(violation.field.as_str(), "ref" | "update_mask" | "etag" | "operation" | "allow_existing");
                violation.under(if of_mutation { path.split('.').next().unwrap_or(&path) } else { &path })
            })),
        }
    }
    if violations.is_empty() { Ok(read) } else { Err(violations) }
}

/// The ids that names stand for, within one request.
type Refs = HashMap<String, EntityKey>;

fn mutation(message: v1::Mutation, refs: &mut Refs, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
    let v1::Mutation { r#ref, allow_existing, update_mask, etag, operation } = message;
    let violation = |field: &str, code: &str, message: &str| {
        vec![Violation { field: field.to_owned(), code: code.to_owned(), message: message.to_owned() }]
    };
    let Some(mut operation) = operation else {
        return Err(violation("operation", "REQUIRED", "one operation, such as create_asset, must be given"));
    };
    let mut found = Violations::default();
    for (field, id) in references(&mut operation) {
        if let Some(name) = id.strip_prefix('$') {
            match refs.get(name) {
                Some(key) => *id = key.id(),
                None => {
                    found.add(field, "UNKNOWN_REF", format_args!("no mutation before this one has the ref {name:?}"));
                }
            }
        }
    }
    found.into_result()?;

    let etag = (!etag.is_empty()).then_some(etag);
    let kind = operation_kind(operation);
    if etag.is_some() && matches!(kind, Kind::Create(_)) {
        return Err(violation("etag", "NOT_A_CHANGE", "goes with updates, deletes, undeletes and delistings only"));
    }
    if update_mask.is_some() && !matches!(kind, Kind::Update(_)) {
        return Err(violation("update_mask", "NOT_AN_UPDATE", "goes with updates only"));
    }
    let mutation = match kind {
        Kind::Create(entity) => create(v1::Entity { entity: Some(entity) }, allow_existing, ids)?,
        Kind::Update(entity) => match (update(v1::Entity { entity: Some(entity) }, update_mask)?, etag) {
            (Mutation::Update { etag: Some(of_entity), .. }, Some(etag)) if of_entity != etag => {
                return Err(violation("etag", "CONFLICT", "must be that of the entity, which has one too"));
            }
            (Mutation::Update { key, etag: of_entity, patch }, etag) => {
                Mutation::Update { key, etag: etag.or(of_entity), patch }
            }
            (other, _) => other,
        },
        Kind::Delete(entity_type, id) => Mutation::Delete { key: key(entity_type, &id)?, etag },
        Kind::Undelete(entity_type, id) => Mutation::Undelete { key: key(entity_type, &id)?, etag },
        Kind::Delist(delisting) => {
            let mut reader = Reader::new(ids);
            let market = reader.required("market", &delisting.market);
            let at = reader.time("delisted_time", delisting.delisted_time);
            let (market, at) = reader.finish(market.zip(at))?;
            Mutation::Delist { market, at, etag }
        }
    };
    let Mutation::Create { entity, .. } = &mutation else {
        if !r#ref.is_empty() || allow_existing {
            let field = if allow_existing { "allow_existing" } else { "ref" };
            return Err(violation(field, "NOT_A_CREATE", "goes with creates only"));
        }
        return Ok(mutation);
    };
    if !r#ref.is_empty() {
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if r#ref.len() > 64 || !r#ref.chars().all(is_name) {
            return Err(violation("ref", "INVALID", "must be 1 to 64 letters, digits, `_`, `-` and `.`"));
        }
        if refs.insert(r#ref, entity.key()).is_some() {
            return Err(violation("ref", "DUPLICATE", "another mutation before this one has the same ref"));
        }
    }
    Ok(mutation)
}

fn key(entity_type: EntityType, id: &str) -> Result<EntityKey, Vec<Violation>> {
    let mut found = Violations::default();
    match found.take("", EntityKey::parse(entity_type, id)) {
        Some(key) => Ok(key),
        None => Err(found.into_vec()),
    }
}

/// The fields of an operation that hold an id, and so may hold `$name`.
fn references(operation: &mut Operation) -> Vec<(&'static str, &mut String)> {
    use v1::instrument::Terms;
    match operation {
        Operation::CreateChain(it) | Operation::UpdateChain(it) => vec![("native_asset", &mut it.native_asset)],
        Operation::CreateVenueAsset(it) => vec![("asset", &mut it.asset)],
        Operation::UpdateVenueAsset(it) => vec![("id", &mut it.id), ("asset", &mut it.asset)],
        Operation::CreateMarket(it) => vec![("instrument", &mut it.instrument)],
        Operation::UpdateMarket(it) => vec![("id", &mut it.id), ("instrument", &mut it.instrument)],
        Operation::UpdateAsset(it) => vec![("id", &mut it.id)],
        Operation::UpdateInstrument(it) => vec![("id", &mut it.id)],
        Operation::CreateInstrument(it) => match &mut it.terms {
            Some(Terms::Spot(t)) => vec![("spot.base", &mut t.base), ("spot.quote", &mut t.quote)],
            Some(Terms::Perpetual(t)) => vec![
                ("perpetual.base", &mut t.base),
                ("perpetual.quote", &mut t.quote),
                ("perpetual.settle", &mut t.settle),
            ],
            Some(Terms::Future(t)) => {
                vec![("future.base", &mut t.base), ("future.quote", &mut t.quote), ("future.settle", &mut t.settle)]
            }
            Some(Terms::Option(t)) => {
                vec![("option.base", &mut t.base), ("option.quote", &mut t.quote), ("option.settle", &mut t.settle)]
            }
            Some(Terms::LendingDeposit(t)) => vec![("lending_deposit.underlying", &mut t.underlying)],
            Some(Terms::LendingBorrow(t)) => vec![("lending_borrow.underlying", &mut t.underlying)],
            None => Vec::new(),
        },
        Operation::DeleteAsset(id)
        | Operation::DeleteVenueAsset(id)
        | Operation::DeleteInstrument(id)
        | Operation::DeleteMarket(id)
        | Operation::UndeleteAsset(id)
        | Operation::UndeleteInstrument(id) => vec![("", id)],
        Operation::DelistMarket(it) => vec![("market", &mut it.market)],
        Operation::CreateAsset(_)
        | Operation::CreateVenue(_)
        | Operation::UpdateVenue(_)
        | Operation::DeleteChain(_)
        | Operation::DeleteVenue(_)
        | Operation::UndeleteVenue(_) => Vec::new(),
    }
}

enum Kind {
    Create(Message),
    Update(Message),
    Delete(EntityType, String),
    Undelete(EntityType, String),
    Delist(v1::Delisting),
}

fn operation_kind(operation: Operation) -> Kind {
    match operation {
        Operation::CreateAsset(it) => Kind::Create(Message::Asset(it)),
        Operation::CreateChain(it) => Kind::Create(Message::Chain(it)),
        Operation::CreateVenue(it) => Kind::Create(Message::Venue(it)),
        Operation::CreateVenueAsset(it) => Kind::Create(Message::VenueAsset(it)),
        Operation::CreateInstrument(it) => Kind::Create(Message::Instrument(it)),
        Operation::CreateMarket(it) => Kind::Create(Message::Market(it)),
        Operation::UpdateAsset(it) => Kind::Update(Message::Asset(it)),
        Operation::UpdateChain(it) => Kind::Update(Message::Chain(it)),
        Operation::UpdateVenue(it) => Kind::Update(Message::Venue(it)),
        Operation::UpdateVenueAsset(it) => Kind::Update(Message::VenueAsset(it)),
        Operation::UpdateInstrument(it) => Kind::Update(Message::Instrument(it)),
        Operation::UpdateMarket(it) => Kind::Update(Message::Market(it)),
        Operation::DeleteAsset(id) => Kind::Delete(EntityType::Asset, id),
        Operation::DeleteChain(id) => Kind::Delete(EntityType::Chain, id),
        Operation::DeleteVenue(id) => Kind::Delete(EntityType::Venue, id),
        Operation::DeleteVenueAsset(id) => Kind::Delete(EntityType::VenueAsset, id),
        Operation::DeleteInstrument(id) => Kind::Delete(EntityType::Instrument, id),
        Operation::DeleteMarket(id) => Kind::Delete(EntityType::Market, id),
        Operation::UndeleteAsset(id) => Kind::Undelete(EntityType::Asset, id),
        Operation::UndeleteVenue(id) => Kind::Undelete(EntityType::Venue, id),
        Operation::UndeleteInstrument(id) => Kind::Undelete(EntityType::Instrument, id),
        Operation::DelistMarket(it) => Kind::Delist(it),
    }
}

/// The operation's name in the contract.
fn operation_name(operation: &Operation) -> &'static str {
    match operation {
        Operation::CreateAsset(_) => "create_asset",
        Operation::CreateChain(_) => "create_chain",
        Operation::CreateVenue(_) => "create_venue",
        Operation::CreateVenueAsset(_) => "create_venue_asset",
        Operation::CreateInstrument(_) => "create_instrument",
        Operation::CreateMarket(_) => "create_market",
        Operation::UpdateAsset(_) => "update_asset",
        Operation::UpdateChain(_) => "update_chain",
        Operation::UpdateVenue(_) => "update_venue",
        Operation::UpdateVenueAsset(_) => "update_venue_asset",
        Operation::UpdateInstrument(_) => "update_instrument",
        Operation::UpdateMarket(_) => "update_market",
        Operation::DeleteAsset(_) => "delete_asset",
        Operation::DeleteChain(_) => "delete_chain",
        Operation::DeleteVenue(_) => "delete_venue",
        Operation::DeleteVenueAsset(_) => "delete_venue_asset",
        Operation::DeleteInstrument(_) => "delete_instrument",
        Operation::DeleteMarket(_) => "delete_market",
        Operation::UndeleteAsset(_) => "undelete_asset",
        Operation::UndeleteVenue(_) => "undelete_venue",
        Operation::UndeleteInstrument(_) => "undelete_instrument",
        Operation::DelistMarket(_) => "delist_market",
    }
}
