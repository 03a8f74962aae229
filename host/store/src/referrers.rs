//! Which entities refer to others: their ids alone, however large they are.

use std::collections::HashMap;

use cqar_domain::id::{EntityKey, EntityType};
use uuid::Uuid;

use crate::{
    dialect::Dialect,
    error::Error,
    footprint::Dependence,
    from_row::from_row,
    schema::{Reference, TableSchema},
    snapshot::{Snapshot, id_value},
    tables::TABLES,
    value::{Value, one_of},
};

/// The most entities whose referrers are looked for in one statement, which names each of them once for each column.
const MAX_REFERRED: usize = 256;
/// The most referrers that one statement finds.
const MAX_REFERRERS_AT_ONCE: usize = 1024;

/// Whether those that are marked as deleted count as referrers of what may be marked itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marked {
    LeftOut,
    Counted,
}

/// One that refers, and one that is referred to: of either, its id, as its type has them.
struct ReferrerRow {
    referrer_uuid: Option<Uuid>,
    referrer_text: Option<String>,
    target_uuid: Option<Uuid>,
    target_text: Option<String>,
}

from_row!(ReferrerRow {} or_none { referrer_uuid, referrer_text, target_uuid, target_text });

impl Snapshot {
    /// For each entity, in order, up to `limit` that refer to it. Those that are marked as deleted count only where it would be
    /// gone for good.
    pub async fn referrers(&mut self, keys: &[EntityKey], limit: usize) -> Result<Vec<Vec<EntityKey>>, Error> {
        self.referrers_of(keys, limit, Marked::LeftOut).await
    }

    pub(crate) async fn referrers_of(
        &mut self,
        keys: &[EntityKey],
        limit: usize,
        marked: Marked,
    ) -> Result<Vec<Vec<EntityKey>>, Error> {
        self.note(keys.iter().map(Dependence::Referrers));
        let mut found: HashMap<EntityKey, Vec<EntityKey>> = HashMap::with_capacity(keys.len());
        for target in TABLES {
            let of_target: Vec<&EntityKey> =
                keys.iter().filter(|key| key.entity_type() == target.entity_type).collect();
            // Few have any, and what is only marked as deleted counts among them: it keeps its lists.
            if TABLES.iter().any(|table| table.list_references.iter().any(|it| it.target == target.entity_type)) {
                for keys in of_target.chunks(MAX_REFERRED) {
                    let most = limit.max(MAX_REFERRERS_AT_ONCE);
                    let together = self.list_referrers(keys, most).await?;
                    let is_whole = keys.len() == 1 || together.len() < most;
                    let mut referrers = if is_whole { together } else { Vec::new() };
                    for key in keys.iter().filter(|_| !is_whole) {
                        referrers.extend(self.list_referrers(&[key], limit).await?);
                    }
                    for (referrer, key) in referrers {
                        found.entry(key).or_default().push(referrer);
                    }
                }
            }
            for table in TABLES {
                if table.references_to(target.entity_type).next().is_none() {
                    continue;
                }
                for keys in of_target.chunks(MAX_REFERRED) {
                    // What is deleted has hardly any referrers, so that all of them together hardly ever meet the limit.
                    let most = limit.max(MAX_REFERRERS_AT_ONCE);
                    let together = self.referrers_in(table, (target, marked), keys, most).await?;
                    let referrers = if keys.len() == 1 || together.len() < most {
                        together
                    } else {
                        let mut each = Vec::new();
                        for key in keys {
                            each.extend(self.referrers_in(table, (target, marked), &[key], limit).await?);
                        }
                        each
                    };
                    for (referrer, key) in referrers {
                        found.entry(key).or_default().push(referrer);
                    }
                }
            }
        }
        let mut of = |key| {
            let mut referrers = found.remove(key).unwrap_or_default();
            // One may refer by several columns.
            referrers.sort();
            referrers.dedup();
            referrers.truncate(limit);
            referrers
        };
        Ok(keys.iter().map(&mut of).collect())
    }

    async fn referrers_in(
        &mut self,
        table: &TableSchema,
        (target, marked): (&TableSchema, Marked),
        keys: &[&EntityKey],
        limit: usize,
    ) -> Result<Vec<(EntityKey, EntityKey)>, Error> {
        let _timer = self.metrics.time("referrers");
        let keys: Vec<Value> = keys.iter().map(|key| id_value(key)).collect();
        let (sql, values) = table.referrers((target, marked), self.tx.dialect(), &keys, limit)?;
        let rows = self.tx.all::<ReferrerRow>(sql, values).await?;
        rows.into_iter().map(|row| row.read(table, target)).collect()
    }
}

impl TableSchema {
    /// Finds rows that refer to one of the entities, by their ids; at most so many. What refers to something that is only marked
    /// as deleted may be marked itself.
    fn referrers(
        &self,
        (target, marked): (&TableSchema, Marked),
        dialect: Dialect,
        ids: &[Value],
        limit: usize,
    ) -> Result<(String, Vec<Value>), Error> {
        let leaves_out = marked == Marked::LeftOut && target.soft_delete && self.soft_delete;
        let undeleted = if leaves_out { " AND e.delete_us IS NULL" } else { "" };
        let limit = Value::Int(i64::try_from(limit).unwrap_or(i64::MAX));
        let (mut values, mut found) = (Vec::new(), Vec::new());
        for reference in self.references_to(target.entity_type) {
            let Reference { column, index, .. } = reference;
            let (refers, mut ids) = one_of(dialect, &format!("e.{column}"), values.len() + 1, ids.to_vec())?;
            values.append(&mut ids);
            // Each column by its own index (joined by OR, SQLite would rather read the whole table), and no more of each than are
            // wanted.
            let (table, index) = (self.name, dialect.by_index(index));
            let (referrer, target) = (id_kind(self.entity_type), id_kind(target.entity_type));
            let of_index = reference.of_index();
            values.push(limit.clone());
            let most = dialect.placeholder(values.len());
            let sql = format!(
                "SELECT e.id AS referrer_{referrer}, e.{column} AS target_{target} FROM {table} e{index} \
                WHERE {refers}{of_index}{undeleted} LIMIT {most}"
            );
            found.push(format!("SELECT referrer_{referrer}, target_{target} FROM ({sql}) AS {column}"));
        }
        Ok((found.join(" UNION ALL "), values))
    }
}

/// Under which name an id of the type is selected.
pub(crate) const fn id_kind(entity_type: EntityType) -> &'static str {
    if entity_type.has_uuid() { "uuid" } else { "text" }
}

impl ReferrerRow {
    fn read(self, table: &TableSchema, target: &TableSchema) -> Result<(EntityKey, EntityKey), Error> {
        let key = |of: &TableSchema, uuid: Option<Uuid>, text: Option<String>| {
            let id = uuid.map(|id| id.to_string()).or(text).unwrap_or_default();
            EntityKey::parse(of.entity_type, &id).map_err(|error| Error::Corrupt {
                table: table.name,
                reason: format!("refers to {} {id}: {error}", of.entity_type),
            })
        };
        Ok((key(table, self.referrer_uuid, self.referrer_text)?, key(target, self.target_uuid, self.target_text)?))
    }
}
