//! References of the tables without foreign keys, and those of lists. The database would check each row for itself, a quarter of an import's time; here each
//! entity that is referred to is looked for once.
//!
//! Invariant: what is committed refers to nothing that is not there, whoever planned it. The writer is alone, and these checks run
//! in its transaction, after everything else is written.

use std::collections::{BTreeMap, BTreeSet};

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
};
use uuid::Uuid;

use crate::{
    error::{Constraint, Error},
    from_row::from_row,
    list_references::listed,
    referrers::{Marked, id_kind},
    schema::TableSchema,
    snapshot::id_value,
    tables::TABLES,
    value::{MAX_KEYS, one_of},
    write::{Change, WriteTransaction},
};

/// An id, as its type has it.
struct IdRow {
    uuid: Option<Uuid>,
    text: Option<String>,
}

from_row!(IdRow {} or_none { uuid, text });

impl WriteTransaction {
    /// That all is there that written rows refer to, and nothing gone that others refer to.
    pub(crate) async fn check_references(&mut self, changes: &[Change]) -> Result<(), Error> {
        let mut named: BTreeMap<EntityType, BTreeSet<EntityKey>> = BTreeMap::new();
        for change in changes {
            let Some(after) = change.after.as_ref() else { continue };
            let unchecked = if has_foreign_keys(after) {
                listed(after)
            } else {
                after.references().into_iter().map(|(_, target)| target).collect()
            };
            for target in unchecked {
                named.entry(target.entity_type()).or_default().insert(target);
            }
        }
        // What is written here is there.
        for after in changes.iter().filter_map(|change| change.after.as_ref()) {
            let key = after.key();
            if let Some(of_type) = named.get_mut(&key.entity_type()) {
                of_type.remove(&key);
            }
        }
        for table in TABLES {
            let Some(targets) = named.remove(&table.entity_type) else { continue };
            let targets: Vec<EntityKey> = targets.into_iter().collect();
            for targets in targets.chunks(MAX_KEYS) {
                let found = self.ids(table, targets).await?;
                if let Some(missing) = targets.iter().find(|target| !found.contains(*target)) {
                    return Err(refused(format!("a reference to {missing}, which is not there")));
                }
            }
        }
        let gone = changes.iter().filter(|change| change.after.is_none());
        let gone: Vec<EntityKey> = gone.filter_map(|change| change.before.as_ref().map(Entity::key)).collect();
        if gone.is_empty() {
            return Ok(());
        }
        let referrers = self.snapshot.referrers_of(&gone, 1, Marked::Counted).await?;
        match gone.iter().zip(&referrers).find_map(|(key, referrers)| Some((key, referrers.first()?))) {
            Some((key, referrer)) => Err(refused(format!("a deletion of {key}, which {referrer} refers to"))),
            None => Ok(()),
        }
    }

    /// Which of the entities are there.
    async fn ids(&mut self, table: &TableSchema, keys: &[EntityKey]) -> Result<BTreeSet<EntityKey>, Error> {
        let _timer = self.snapshot.metrics.time("check_references");
        let (has_id, ids) = one_of(self.snapshot.tx.dialect(), "id", 1, keys.iter().map(id_value).collect())?;
        let kind = id_kind(table.entity_type);
        let sql = format!("SELECT id AS {kind} FROM {} WHERE {has_id}", table.name);
        let rows: Vec<IdRow> = self.snapshot.tx.all(sql, ids).await?;
        let text = |row: IdRow| row.uuid.map(|id| id.to_string()).or(row.text).unwrap_or_default();
        Ok(rows.into_iter().filter_map(|row| EntityKey::parse(table.entity_type, &text(row)).ok()).collect())
    }
}

fn has_foreign_keys(entity: &Entity) -> bool {
    let entity_type = entity.key().entity_type();
    TABLES.iter().any(|table| table.entity_type == entity_type && table.foreign_keys)
}

fn refused(name: String) -> Error {
    Error::Constraint { kind: Constraint::ForeignKey, name, source: None }
}
