//! Mutations: creations, updates with their masks, and the references within one `Apply`.

use std::collections::BTreeSet;

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, IdSource, SystemIds},
    mutation::{Mutation, Patch, RequestedMutation},
    violation::{Violation, Violations},
};

use super::{
    Reader,
    entities::{IMMUTABLE, given, read_key},
    refs::{NamedRefs, UNKNOWN_REF},
};
use crate::{
    v1::{self, entity::Entity as Message, mutation::Operation},
    well_known::FieldMask,
};

/// A creation of the entity.
pub fn create(entity: v1::Entity, allow_existing: bool, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
    create_with(given(entity)?, allow_existing, ids, None)
}

/// An update of the entity whose id the message has, by its fields in the mask.
pub fn update(entity: v1::Entity, mask: Option<FieldMask>) -> Result<Mutation, Vec<Violation>> {
    update_with(given(entity)?, mask, None)
}

fn create_with(
    mut message: Message,
    allow_existing: bool,
    ids: &dyn IdSource,
    refs: Option<&NamedRefs>,
) -> Result<Mutation, Vec<Violation>> {
    let mut reader = Reader::new(ids, refs);
    let read = message.read(&mut reader);
    Ok(Mutation::Create { entity: reader.finish(read).map_err(unknown_refs_first)?, allow_existing })
}

fn update_with(
    mut message: Message,
    mask: Option<FieldMask>,
    refs: Option<&NamedRefs>,
) -> Result<Mutation, Vec<Violation>> {
    let mut reader = Reader::new(&SystemIds, refs);
    let entity_type = message.entity_type();
    let key = reader.key("id", entity_type, message.id_mut());
    let key = reader.finish(key)?;
    if refs.is_some() {
        // Resolves `$name` references now, since they are not known when the patch is applied. What else is found wrong
        // does not count: the message is partial, and the patched entity is read as a whole.
        let mut reader = Reader::new(&SystemIds, refs);
        message.read(&mut reader);
        let unknown: Vec<Violation> = reader.into_found().into_iter().filter(|it| it.code == UNKNOWN_REF).collect();
        if !unknown.is_empty() {
            return Err(unknown);
        }
    }
    let etag = Some(message.etag().to_owned()).filter(|etag| !etag.is_empty());
    Ok(Mutation::Update { key, etag, patch: patch(message, mask) })
}

/// References that lead nowhere are told alone: what else is wrong may follow from them.
fn unknown_refs_first(found: Vec<Violation>) -> Vec<Violation> {
    let (unknown, others): (Vec<_>, Vec<_>) = found.into_iter().partition(|it| it.code == UNKNOWN_REF);
    if unknown.is_empty() { others } else { unknown }
}

fn patch(from: Message, mask: Option<FieldMask>) -> Patch {
    let mask = mask.unwrap_or_default().paths;
    Patch::new(move |before: &Entity| {
        let mut found = Violations::default();
        let mut onto = Message::from(before);
        let rewritten = onto.apply_mask(&from, &mask, &mut found);
        found.into_result()?;
        // What is output-only is that of the state before, and an update makes no id.
        let mut reader = Reader::of_stored(&SystemIds);
        let read = onto.read(&mut reader);
        reader.finish(read).map_err(|found| unreadable(found, &rewritten))
    })
}

/// What an immutable field cannot even be is no other spelling of what it is.
fn unreadable(found: Vec<Violation>, rewritten: &[&'static str]) -> Vec<Violation> {
    let (mut changed, mut others) = (BTreeSet::new(), Vec::new());
    for violation in found {
        let outer = violation.field.split(['.', '[']).next().unwrap_or_default();
        match rewritten.iter().find(|field| **field == outer) {
            Some(field) => drop(changed.insert(*field)),
            None => others.push(violation),
        }
    }
    let (code, message) = IMMUTABLE;
    let changed = changed.into_iter();
    others.extend(changed.map(|field| Violation { field: field.into(), code: code.into(), message: message.into() }));
    others
}

/// Reads the mutations of an `Apply`; `reason` counts for those that give none. Violations stand under
/// `mutations[i].<operation>`, and those of an entity under its type besides.
pub fn mutations(
    messages: Vec<v1::Mutation>,
    reason: &str,
    ids: &dyn IdSource,
) -> Result<Vec<RequestedMutation>, Vec<Violation>> {
    let mut refs = NamedRefs::default();
    let mut read = Vec::with_capacity(messages.len());
    let mut violations = Vec::new();
    for (i, mut message) in messages.into_iter().enumerate() {
        let item = format!("mutations[{i}]");
        let path = message.operation.as_ref().map_or_else(|| item.clone(), |it| format!("{item}.{}", name(it)));
        let own_reason = std::mem::take(&mut message.reason);
        let reason = if own_reason.is_empty() { reason.to_owned() } else { own_reason };
        match mutation(message, &mut refs, ids) {
            Ok(mutation) => read.push(RequestedMutation { field: path, reason, mutation }),
            Err(found) => violations.extend(found.into_iter().map(|violation| {
                let of_mutation =
                    matches!(violation.field.as_str(), "ref" | "update_mask" | "etag" | "operation" | "allow_existing");
                violation.under(if of_mutation { &item } else { &path })
            })),
        }
    }
    if violations.is_empty() { Ok(read) } else { Err(violations) }
}

/// The path of what an operation is about.
fn name(operation: &Operation) -> String {
    let of = |operation: &str, entity: &v1::Entity| match &entity.entity {
        Some(entity) => format!("{operation}.{}", entity.entity_type()),
        None => operation.to_owned(),
    };
    match operation {
        Operation::Create(entity) => of("create", entity),
        Operation::Update(entity) => of("update", entity),
        Operation::Delete(_) => "delete".to_owned(),
        Operation::Undelete(_) => "undelete".to_owned(),
        Operation::Delist(_) => "delist".to_owned(),
    }
}

fn mutation(message: v1::Mutation, refs: &mut NamedRefs, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
    let v1::Mutation { r#ref, allow_existing, update_mask, etag, operation, .. } = message;
    let Some(operation) = operation else {
        return Err(violation(
            "operation",
            "REQUIRED",
            "one of create, update, delete, undelete, delist must be given",
        ));
    };
    let etag = (!etag.is_empty()).then_some(etag);
    if etag.is_some() && matches!(operation, Operation::Create(_)) {
        return Err(violation("etag", "NOT_A_CHANGE", "goes with updates, deletes, undeletes and delistings only"));
    }
    if update_mask.is_some() && !matches!(operation, Operation::Update(_)) {
        return Err(violation("update_mask", "NOT_AN_UPDATE", "goes with updates only"));
    }
    let mutation = match operation {
        Operation::Create(entity) => create_with(given(entity)?, allow_existing, ids, Some(refs))?,
        Operation::Update(entity) => match (update_with(given(entity)?, update_mask, Some(refs))?, etag) {
            (Mutation::Update { etag: Some(of_entity), .. }, Some(etag)) if of_entity != etag => {
                return Err(violation("etag", "CONFLICT", "must be that of the entity, which has one too"));
            }
            (Mutation::Update { key, etag: of_entity, patch }, etag) => {
                Mutation::Update { key, etag: etag.or(of_entity), patch }
            }
            (other, _) => other,
        },
        Operation::Delete(key) => Mutation::Delete { key: key_with(key, refs, ids)?, etag },
        Operation::Undelete(key) => Mutation::Undelete { key: key_with(key, refs, ids)?, etag },
        Operation::Delist(mut delisting) => {
            let mut reader = Reader::new(ids, Some(refs));
            let market = reader.reference("market_id", &mut delisting.market_id);
            let at = reader.time("delisted_time", delisting.delisted_time);
            let (market, at) = reader.finish(market.zip(at)).map_err(unknown_refs_first)?;
            Mutation::Delist { market, at, etag }
        }
    };
    match &mutation {
        Mutation::Create { entity, .. } if !r#ref.is_empty() => refs.insert(r#ref, entity.key())?,
        Mutation::Create { .. } => {}
        _ if allow_existing => return Err(violation("allow_existing", "NOT_A_CREATE", "goes with creates only")),
        _ if !r#ref.is_empty() => return Err(violation("ref", "NOT_A_CREATE", "goes with creates only")),
        _ => {}
    }
    Ok(mutation)
}

fn key_with(key: v1::EntityKey, refs: &NamedRefs, ids: &dyn IdSource) -> Result<EntityKey, Vec<Violation>> {
    let mut key = key.key.ok_or_else(|| violation("", "REQUIRED", "the id of one entity must be given"))?;
    let mut reader = Reader::new(ids, Some(refs));
    let read = read_key(&mut key, &mut reader);
    reader.finish(read)
}

fn violation(field: &str, code: &str, message: &str) -> Vec<Violation> {
    vec![Violation { field: field.to_owned(), code: code.to_owned(), message: message.to_owned() }]
}
