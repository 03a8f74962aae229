//! Lists, in pages by key: the order is that of the ids, total and stable.

use cqar_domain::{entities::Entity, id::EntityKey};

use crate::{
    database::Value,
    error::Error,
    filter::{Condition, Filter},
    snapshot::{Snapshot, id_value},
};

impl Snapshot {
    /// The entities after the key, by id, at most `limit`. Fewer means that there are no more.
    pub async fn list(&mut self, filter: &Filter, after: Option<&EntityKey>, limit: u32) -> Result<Vec<Entity>, Error> {
        let Filter { table, conditions, hide_deleted } = filter;
        let clauses: Vec<Condition> = conditions.iter().map(|(condition, _)| *condition).collect();
        let sql = table.list(&clauses, after.is_some(), *hide_deleted);
        let values = conditions.iter().map(|(_, value)| value.clone()).chain(after.map(id_value));
        let values = values.chain([Value::Int(limit.into())]).collect();
        self.read(table, format!("list_{}", table.name), sql, values).await
    }
}
