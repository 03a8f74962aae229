//! Table `unique_keys`: every key that no two entities share, and who has it. Deleted entities keep theirs while they are only
//! marked. The type of the entity is how the key begins.

use std::collections::HashMap;

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
    unique_key::UniqueKey,
};

use crate::{
    database::Tx,
    error::Error,
    footprint::Dependence,
    from_row::from_row,
    insert::{in_order, insert},
    metrics::Metrics,
    snapshot::{Snapshot, texts},
    value::{MAX_KEYS, Value, one_of},
    write::{Change, WriteTransaction},
};

const TABLE: &str = "unique_keys";
const COLUMNS: [&str; 2] = ["key", "entity_id"];

struct UniqueKeyRow {
    key: String,
    entity_id: String,
}

from_row!(UniqueKeyRow { key, entity_id });

impl UniqueKeyRow {
    fn read(self) -> Result<(UniqueKey, EntityKey), Error> {
        let Self { key, entity_id } = self;
        let entity_type = key.split_once('.').and_then(|(name, _)| EntityType::from_name(name));
        let owner = entity_type.and_then(|of| EntityKey::parse(of, &entity_id).ok());
        let owner =
            owner.ok_or_else(|| Error::Corrupt { table: TABLE, reason: format!("key {key} of {entity_id}") })?;
        Ok((UniqueKey::from(key), owner))
    }
}

impl Snapshot {
    /// The entities that have one of the unique keys, by key; deleted ones included.
    pub async fn with_unique_keys(&mut self, keys: &[UniqueKey]) -> Result<HashMap<UniqueKey, Entity>, Error> {
        self.note(keys.iter().map(|key| Dependence::UniqueKey(key.as_str())));
        let mut owners: Vec<(UniqueKey, EntityKey)> = Vec::with_capacity(keys.len());
        for keys in texts(keys.iter().map(UniqueKey::as_str)).chunks(MAX_KEYS) {
            let _timer = self.metrics.time("unique_keys");
            let (has_key, keys) = one_of(self.tx.dialect(), "key", 1, keys.to_vec())?;
            let sql = format!("SELECT key, entity_id FROM {TABLE} WHERE {has_key}");
            for row in self.tx.all::<UniqueKeyRow>(sql, keys).await? {
                owners.push(row.read()?);
            }
        }
        let entities = self.entities(&owners.iter().map(|(_, owner)| owner.clone()).collect::<Vec<_>>()).await?;
        let present = owners.into_iter().zip(entities).filter_map(|((key, _), entity)| Some((key, entity?)));
        Ok(present.collect())
    }
}

impl WriteTransaction {
    /// Takes out the keys that entities no longer have.
    pub(crate) async fn delete_unique_keys(&mut self, changes: &[Change]) -> Result<(), Error> {
        let lost = changes.iter().flat_map(|change| keys_only_in(change.before.as_ref(), change.after.as_ref()));
        let lost: Vec<Value> = lost.map(|key| Value::Text(key.to_string())).collect();
        self.delete_where(TABLE, "key", &lost).await
    }

    /// Puts in the keys that entities got.
    pub(crate) async fn insert_unique_keys(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut rows = Vec::new();
        for change in changes {
            let Some(after) = &change.after else { continue };
            let gained = keys_only_in(Some(after), change.before.as_ref());
            let owner = after.key();
            rows.extend(gained.iter().map(|key| vec![Value::Text(key.to_string()), Value::Text(owner.id())]));
        }
        in_order(&mut rows, 0);
        self.insert("insert_unique_keys", TABLE, &COLUMNS, rows.into_iter(), "").await
    }
}

/// The unique keys of an entity that another state of it has not.
fn keys_only_in(of: Option<&Entity>, other: Option<&Entity>) -> Vec<UniqueKey> {
    let keys = |entity: Option<&Entity>| entity.map(Entity::unique_keys).unwrap_or_default();
    let mut beyond = keys(of);
    if !beyond.is_empty() {
        let others = keys(other);
        beyond.retain(|(_, key)| !others.iter().any(|(_, other)| other == key));
    }
    beyond.into_iter().map(|(_, key)| key).collect()
}

/// Shortens the keys that are longer than keys are today: a migration cannot hash on every database.
pub(crate) async fn shorten_keys(tx: &mut Tx, metrics: &Metrics) -> Result<(), Error> {
    let mut after = String::new();
    loop {
        // What is shortened stands before what is left to be, or is not found again.
        let found: Vec<UniqueKeyRow> = tx.all(NEXT_LONG_KEYS, vec![Value::Text(after.clone())]).await?;
        let Some(row) = found.last() else { return Ok(()) };
        after.clone_from(&row.key);
        for found in found.chunks(MAX_KEYS) {
            let keys = found.iter().map(|row| Value::Text(row.key.clone())).collect();
            let (has_key, keys) = one_of(tx.dialect(), "key", 1, keys)?;
            tx.execute(format!("DELETE FROM {TABLE} WHERE {has_key}"), keys).await?;
        }
        let shortened = found.into_iter().map(|row| {
            let key = UniqueKey::of_text(row.key);
            vec![Value::Text(key.to_string()), Value::Text(row.entity_id)]
        });
        insert(tx, metrics, "migrate_unique_keys", TABLE, &COLUMNS, shortened, "").await?;
    }
}

const NEXT_LONG_KEYS: &str =
    "SELECT key, entity_id FROM unique_keys WHERE key > $1 AND octet_length(key) > 64 ORDER BY key LIMIT 4096";
