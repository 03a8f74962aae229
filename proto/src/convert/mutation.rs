//! Mutations: creations, updates with their masks, and the references within one `Apply`.

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, IdSource, SystemIds},
    mutation::{Mutation, Patch},
    violation::{Violation, Violations},
};

use super::{
    Reader,
    entity::Action,
    refs::{Refs, UNKNOWN_REF},
};
use crate::{
    v1::{self, entity::Entity as Message},
    well_known::FieldMask,
};

/// A creation of the entity.
pub fn create(entity: v1::Entity, allow_existing: bool, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
    create_with(given(entity)?, allow_existing, ids, &Refs::default())
}

/// An update of the entity whose id the message has, by its fields in the mask.
pub fn update(entity: v1::Entity, mask: Option<FieldMask>) -> Result<Mutation, Vec<Violation>> {
    update_with(given(entity)?, mask, &Refs::default())
}

fn given(entity: v1::Entity) -> Result<Message, Vec<Violation>> {
    entity.entity.ok_or_else(|| violation("", "REQUIRED", "the entity must be given"))
}

fn create_with(
    mut message: Message,
    allow_existing: bool,
    ids: &dyn IdSource,
    refs: &Refs,
) -> Result<Mutation, Vec<Violation>> {
    let mut reader = Reader::new(ids, refs);
    let read = message.read(&mut reader);
    Ok(Mutation::Create { entity: reader.finish(read)?, allow_existing })
}

fn update_with(mut message: Message, mask: Option<FieldMask>, refs: &Refs) -> Result<Mutation, Vec<Violation>> {
    let mut found = Violations::default();
    refs.resolve("id", message.id_mut(), &mut found);
    // Read for its references alone, whose names mean nothing later: what an update does not mention is not missing.
    let mut reader = Reader::new(&SystemIds, refs);
    message.read(&mut reader);
    let unknown: Vec<Violation> = found
        .into_vec()
        .into_iter()
        .chain(reader.into_found().into_iter().filter(|it| it.code == UNKNOWN_REF))
        .collect();
    if !unknown.is_empty() {
        return Err(unknown);
    }
    let mut found = Violations::default();
    let key = found.take("id", EntityKey::parse(message.entity_type(), message.id()));
    let etag = Some(message.etag().to_owned()).filter(|etag| !etag.is_empty());
    match key {
        Some(key) => Ok(Mutation::Update { key, etag, patch: patch(message, mask) }),
        None => Err(found.into_vec()),
    }
}

fn patch(from: Message, mask: Option<FieldMask>) -> Patch {
    let mask = mask.unwrap_or_default().paths;
    Patch::new(move |before: &Entity| {
        let mut found = Violations::default();
        let mut onto = Message::from(before);
        onto.lay_over(&from, &mask, &mut found);
        found.into_result()?;
        // What is output-only is that of the state before, and an update makes no id.
        let refs = Refs::default();
        let mut reader = Reader::of_stored(&SystemIds, &refs);
        let read = onto.read(&mut reader);
        reader.finish(read)
    })
}

/// Reads the mutations of an `Apply`, each with the name of its field for messages about it. Violations stand under
/// `mutations[i].<operation>`.
pub fn mutations(messages: Vec<v1::Mutation>, ids: &dyn IdSource) -> Result<Vec<(String, Mutation)>, Vec<Violation>> {
    let mut refs = Refs::default();
    let mut read = Vec::with_capacity(messages.len());
    let mut violations = Vec::new();
    for (i, mut message) in messages.into_iter().enumerate() {
        let action = message.operation.take().map(Action::from);
        let item = format!("mutations[{i}]");
        let path = action.as_ref().map_or_else(|| item.clone(), |action| format!("{item}.{}", action.name()));
        match mutation(message, action, &mut refs, ids) {
            Ok(mutation) => read.push((path, mutation)),
            Err(found) => violations.extend(found.into_iter().map(|violation| {
                let of_mutation =
                    matches!(violation.field.as_str(), "ref" | "update_mask" | "etag" | "operation" | "allow_existing");
                violation.under(if of_mutation { &item } else { &path })
            })),
        }
    }
    if violations.is_empty() { Ok(read) } else { Err(violations) }
}

/// The mutation of a message whose operation was taken out.
fn mutation(
    message: v1::Mutation,
    action: Option<Action>,
    refs: &mut Refs,
    ids: &dyn IdSource,
) -> Result<Mutation, Vec<Violation>> {
    let v1::Mutation { r#ref, allow_existing, update_mask, etag, .. } = message;
    let Some(action) = action else {
        return Err(violation("operation", "REQUIRED", "one operation, such as create_asset, must be given"));
    };
    let etag = (!etag.is_empty()).then_some(etag);
    if etag.is_some() && matches!(action, Action::Create(_)) {
        return Err(violation("etag", "NOT_A_CHANGE", "goes with updates, deletes, undeletes and delistings only"));
    }
    if update_mask.is_some() && !matches!(action, Action::Update(_)) {
        return Err(violation("update_mask", "NOT_AN_UPDATE", "goes with updates only"));
    }
    if (!r#ref.is_empty() || allow_existing) && !matches!(action, Action::Create(_)) {
        let field = if allow_existing { "allow_existing" } else { "ref" };
        return Err(violation(field, "NOT_A_CREATE", "goes with creates only"));
    }
    match action {
        Action::Create(message) => {
            let created = create_with(message, allow_existing, ids, refs)?;
            if let (Mutation::Create { entity, .. }, false) = (&created, r#ref.is_empty()) {
                refs.insert(r#ref, entity.key())?;
            }
            Ok(created)
        }
        Action::Update(message) => match (update_with(message, update_mask, refs)?, etag) {
            (Mutation::Update { etag: Some(of_entity), .. }, Some(etag)) if of_entity != etag => {
                Err(violation("etag", "CONFLICT", "must be that of the entity, which has one too"))
            }
            (Mutation::Update { key, etag: of_entity, patch }, etag) => {
                Ok(Mutation::Update { key, etag: etag.or(of_entity), patch })
            }
            (other, _) => Ok(other),
        },
        Action::Delete(entity_type, id) => {
            let mut reader = Reader::new(ids, refs);
            let key = reader.key(entity_type, id);
            Ok(Mutation::Delete { key: reader.finish(key)?, etag })
        }
        Action::Undelete(entity_type, id) => {
            let mut reader = Reader::new(ids, refs);
            let key = reader.key(entity_type, id);
            Ok(Mutation::Undelete { key: reader.finish(key)?, etag })
        }
        Action::Delist(mut delisting) => {
            let mut reader = Reader::new(ids, refs);
            let market = reader.reference("market", &mut delisting.market);
            let at = reader.time("delisted_time", delisting.delisted_time);
            let (market, at) = reader.finish(market.zip(at))?;
            Ok(Mutation::Delist { market, at, etag })
        }
    }
}

fn violation(field: &str, code: &str, message: &str) -> Vec<Violation> {
    vec![Violation { field: field.to_owned(), code: code.to_owned(), message: message.to_owned() }]
}
