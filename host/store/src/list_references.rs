//! Table `list_references`: what entities refer to in fields that hold many, such as the networks of a venue asset. Each end is its type
//! and id, `chain/ethereum`.
//!
//! Invariant: a row for each reference that an entity has in such a field, and no other. It is written with the entity, and read where
//! columns that refer are.

use std::collections::BTreeSet;

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
};

use crate::{
    error::Error,
    from_row::from_row,
    snapshot::{Snapshot, texts},
    tables::TABLES,
    value::{MAX_KEYS, Value, one_of},
    write::{Change, WriteTransaction},
};

const TABLE: &str = "list_references";
const COLUMNS: [&str; 2] = ["target", "referrer"];

struct ListReferenceRow {
    target: String,
    referrer: String,
}

from_row!(ListReferenceRow { target, referrer });

/// A type and an id.
fn end(key: &EntityKey) -> String {
    format!("{}/{}", key.entity_type(), key.id())
}

fn read_end(text: &str) -> Result<EntityKey, Error> {
    let read = || {
        let (of, id) = text.split_once('/')?;
        EntityKey::parse(EntityType::from_name(of)?, id).ok()
    };
    read().ok_or_else(|| Error::Corrupt { table: TABLE, reason: format!("{text:?} names nothing") })
}

/// What an entity refers to in fields that hold many.
pub(crate) fn listed(entity: &Entity) -> BTreeSet<EntityKey> {
    let entity_type = entity.key().entity_type();
    let fields = TABLES.iter().filter(|table| table.entity_type == entity_type).flat_map(|table| table.list_references);
    let fields: Vec<&str> = fields.map(|it| it.field).collect();
    if fields.is_empty() {
        return BTreeSet::new();
    }
    entity.references().into_iter().filter(|(field, _)| fields.contains(field)).map(|(_, target)| target).collect()
}

impl Snapshot {
    /// Pairs of what refers to one of the entities in a field that holds many, and of what it refers to; at most so many.
    pub(crate) async fn list_referrers(
        &mut self,
        targets: &[&EntityKey],
        limit: usize,
    ) -> Result<Vec<(EntityKey, EntityKey)>, Error> {
        let _timer = self.metrics.time("list_referrers");
        let targets: Vec<String> = targets.iter().map(|key| end(key)).collect();
        let (is_target, mut values) =
            one_of(self.tx.dialect(), "target", 1, texts(targets.iter().map(String::as_str)))?;
        values.push(Value::Int(i64::try_from(limit).unwrap_or(i64::MAX)));
        let most = self.tx.dialect().placeholder(values.len());
        let sql = format!("SELECT target, referrer FROM {TABLE} WHERE {is_target} LIMIT {most}");
        let rows = self.tx.all::<ListReferenceRow>(sql, values).await?;
        rows.into_iter().map(|row| Ok((read_end(&row.referrer)?, read_end(&row.target)?))).collect()
    }
}

impl WriteTransaction {
    /// Takes out the references of changed lists.
    pub(crate) async fn delete_list_references(&mut self, changes: &[Change]) -> Result<(), Error> {
        let had = changes.iter().filter_map(|change| {
            let before = change.before.as_ref()?;
            let lists = listed(before);
            (!lists.is_empty() && change.after.as_ref().is_none_or(|after| listed(after) != lists))
                .then(|| before.key())
        });
        let referrers: Vec<Value> = had.map(|key| Value::Text(end(&key))).collect();
        for referrers in referrers.chunks(MAX_KEYS) {
            self.delete_where(TABLE, "referrer", referrers).await?;
        }
        Ok(())
    }

    /// Puts in the references of changed lists.
    pub(crate) async fn insert_list_references(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut rows = Vec::new();
        for change in changes {
            let Some(after) = &change.after else { continue };
            let lists = listed(after);
            if lists.is_empty() || change.before.as_ref().is_some_and(|before| listed(before) == lists) {
                continue;
            }
            let referrer = end(&after.key());
            rows.extend(lists.iter().map(|target| vec![Value::Text(end(target)), Value::Text(referrer.clone())]));
        }
        self.insert("insert_list_references", TABLE, &COLUMNS, rows.into_iter(), "").await
    }
}
