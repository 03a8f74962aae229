//! Lists, in pages by key: the order is that of the ids, total and stable.
//!
//! A page is bounded three times: by the number of its entities, by their bytes, and by the rows that are looked at to find them.
//! So it may be short, or empty, and not the last.

use cqar_domain::{entities::Entity, id::EntityKey};
use cqar_proto::v1;
use prost::Message;

use crate::{
    error::Error,
    filter::Filter,
    snapshot::{Snapshot, id_value},
    value::Value,
};

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListPage {
    /// In the order of their ids.
    pub entities: Vec<Entity>,
    /// What the next page comes after; none if this is the last one.
    pub next_after: Option<EntityKey>,
}

/// How large a page may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageBounds {
    /// So many entities.
    pub entities: u32,
    /// So many bytes, as they are encoded, unless one alone has more.
    pub bytes: usize,
}

/// Rows that are read before it is known how large they are, and at a time: of half a megabyte each at most.
const FIRST_ROWS: usize = 64;
const ROWS_AT_ONCE: usize = 128;

impl Snapshot {
    /// The entities after the key, by id.
    pub async fn list(
        &mut self,
        filter: &Filter,
        after: Option<&EntityKey>,
        bounds: PageBounds,
    ) -> Result<ListPage, Error> {
        self.note_all();
        let end = self.examined_end(filter, after).await?;
        let limit = bounds.entities.max(1) as usize;
        let mut entities: Vec<Entity> = Vec::new();
        let (mut bytes, mut after) = (0, after.cloned());
        loop {
            // One more than fits tells whether there is another page.
            let left = limit + 1 - entities.len();
            let fits = match entities.len() {
                0 => FIRST_ROWS,
                read => (bounds.bytes.saturating_sub(bytes) / (bytes / read).max(1) + 1).min(ROWS_AT_ONCE),
            };
            let wanted = left.min(fits);
            let rows = self.list_rows(filter, after.as_ref(), end.as_ref(), wanted).await?;
            let is_exhausted = rows.len() < wanted;
            for entity in rows {
                let size = v1::Entity::from(&entity).encoded_len();
                if entities.len() == limit || (!entities.is_empty() && bytes + size > bounds.bytes) {
                    let next_after = entities.last().map(Entity::key);
                    return Ok(ListPage { entities, next_after });
                }
                bytes += size;
                entities.push(entity);
            }
            if is_exhausted {
                return Ok(ListPage { entities, next_after: end });
            }
            after = entities.last().map(Entity::key);
        }
    }

    async fn list_rows(
        &mut self,
        filter: &Filter,
        after: Option<&EntityKey>,
        end: Option<&EntityKey>,
        limit: usize,
    ) -> Result<Vec<Entity>, Error> {
        let sql = filter.table.list(self.tx.dialect(), &filter.shape(), after.is_some(), end.is_some());
        let limit = Value::Int(i64::try_from(limit).unwrap_or(i64::MAX));
        let values = filter.values().chain(after.map(id_value)).chain(end.map(id_value)).chain([limit]).collect();
        self.read(filter.table, format!("list_{}", filter.table.name), sql, values).await
    }

    /// The last row that a page looks at, where it looks at rows that it leaves out and there are more than it may look at.
    async fn examined_end(&mut self, filter: &Filter, after: Option<&EntityKey>) -> Result<Option<EntityKey>, Error> {
        let Some(sql) = filter.table.examined_end(self.tx.dialect(), &filter.shape(), after.is_some()) else {
            return Ok(None);
        };
        let values = filter.leading_values().chain(after.map(id_value)).collect();
        let found = self.read(filter.table, "list_end", sql, values).await?;
        Ok(found.first().map(Entity::key))
    }
}
