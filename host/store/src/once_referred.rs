//! Table `once_referred`: what anything ever referred to, of the types that are never deleted after that.

use std::collections::{BTreeSet, HashSet};

use cqar_domain::{
    entities::Entity,
    id::{EntityKey, EntityType},
};

use crate::{
    error::Error,
    footprint::Dependence,
    from_row::from_row,
    snapshot::{Snapshot, texts},
    tables::TABLES,
    value::{MAX_KEYS, Value, one_of},
    write::{Change, WriteTransaction},
};

const TABLE: &str = "once_referred";
const COLUMNS: [&str; 2] = ["entity_type", "entity_id"];

struct OnceReferredRow {
    entity_type: String,
    entity_id: String,
}

from_row!(OnceReferredRow { entity_type, entity_id });

impl Snapshot {
    /// Those of the entities that are kept because something refers to them, or did.
    pub async fn once_referred(&mut self, keys: &[EntityKey]) -> Result<HashSet<EntityKey>, Error> {
        self.note(keys.iter().map(Dependence::Referrers));
        let kept = keys.iter().filter(|key| key.entity_type().is_kept_once_referred_to());
        let ids: Vec<String> = kept.map(EntityKey::id).collect();
        let mut found = HashSet::new();
        for ids in texts(ids.iter().map(String::as_str)).chunks(MAX_KEYS) {
            let _timer = self.metrics.time("once_referred");
            let (has_id, ids) = one_of(self.tx.dialect(), "entity_id", 1, ids.to_vec())?;
            let sql = format!("SELECT entity_type, entity_id FROM {TABLE} WHERE {has_id}");
            for row in self.tx.all::<OnceReferredRow>(sql, ids).await? {
                let of = EntityType::from_name(&row.entity_type);
                found.extend(of.and_then(|of| EntityKey::parse(of, &row.entity_id).ok()));
            }
        }
        Ok(found)
    }
}

impl WriteTransaction {
    /// Notes what written entities refer to, of the types that are kept after that.
    pub(crate) async fn note_referred(&mut self, changes: &[Change]) -> Result<(), Error> {
        let written = changes.iter().filter_map(|change| change.after.as_ref()).filter(|it| refers_to_kept(it));
        let referred = written.flat_map(|entity| entity.references().into_iter().map(|(_, target)| target));
        let kept: BTreeSet<EntityKey> =
            referred.filter(|target| target.entity_type().is_kept_once_referred_to()).collect();
        let rows = kept.into_iter().map(|key| vec![Value::Text(key.entity_type().to_string()), Value::Text(key.id())]);
        self.insert("insert_once_referred", TABLE, &COLUMNS, rows, "ON CONFLICT (entity_id, entity_type) DO NOTHING")
            .await
    }
}

/// Whether entities of this type may refer to one that is kept: most of a large write do not.
fn refers_to_kept(entity: &Entity) -> bool {
    let entity_type = entity.key().entity_type();
    let of_table = TABLES.iter().filter(|table| table.entity_type == entity_type);
    of_table
        .into_iter()
        .any(|table| EntityType::ALL.into_iter().any(|of| of.is_kept_once_referred_to() && table.refers_to(of)))
}
