//! What the services have in common where they read: one entity, many, or a page.

use std::error::Error as StdError;

use cqar_domain::{
    entities::{Entity, EntityVariant},
    entity::{Revision, TypedEntity},
    id::{EntityKey, EntityType, IdError, Segment},
    text::TextBounds,
    violation::Violations,
};
use cqar_proto::{
    convert::{self, EntityMessage},
    rpc,
};
use cqar_registry::{EntityPage, Error, Filter, PageRequest, Revisioned};
use prost::Message as _;

use crate::{
    memory::AnswerBudget,
    services::{Api, MAX_BATCH, Reply, answered},
    status::{internal, invalid, not_supported, status},
};

/// One result of a batch.
pub(crate) trait BatchResult {
    /// What was asked for.
    type Message: EntityMessage;

    /// The result.
    fn of(found: Result<Self::Message, rpc::Status>) -> Self;
}

/// The results of a batch of one type of entity.
macro_rules! batch_result {
    ($entity:ident in $batch:ident) => {
        impl $crate::reads::BatchResult for cqar_proto::v1::$batch::Result {
            type Message = cqar_proto::v1::$entity;

            fn of(found: Result<cqar_proto::v1::$entity, cqar_proto::rpc::Status>) -> Self {
                use cqar_proto::v1::$batch::result::Result as Found;
                Self { result: Some(found.map_or_else(Found::Error, Found::$entity)) }
            }
        }
    };
}
pub(crate) use batch_result;

/// So many entities, of half a megabyte each at most, are read before their bytes are counted.
const READ_AT_ONCE: usize = 256;

#[derive(Debug, thiserror::Error)]
#[error("a batch was answered by fewer entities than were asked for")]
struct MissingAnswer;

impl Api {
    /// The entity with the id.
    pub(crate) async fn get<M: EntityMessage>(&self, id: &str, min_revision: i64, at_revision: i64) -> Reply<M> {
        let min_revision = read_revision(min_revision, at_revision)?;
        let key = EntityKey::parse(M::Entity::TYPE, id)
            .map_err(|error| status(invalid(&convert::key_field(M::Entity::TYPE), "INVALID", error)))?;
        let found = self.registry.get(key, min_revision).await.map_err(status)?;
        message(&found.value).map(|value| answered(Revisioned { revision: found.revision, value }))
    }

    /// The entities with the ids, each or why not, in order; and the revision.
    pub(crate) async fn batch_get<R: BatchResult>(
        &self,
        ids: &[String],
        min_revision: i64,
        at_revision: i64,
        mut budget: AnswerBudget,
    ) -> Reply<(Vec<R>, Revision)> {
        let min_revision = read_revision(min_revision, at_revision)?;
        let entity_type = <R::Message as EntityMessage>::Entity::TYPE;
        let field = format!("{}s", convert::key_field(entity_type));
        check_batch(&field, ids.len()).map_err(status)?;
        let parse = |(n, id): (usize, &String)| {
            EntityKey::parse(entity_type, id).map_err(|error| invalid(&format!("{field}[{n}]"), "INVALID", error))
        };
        let keys: Vec<Result<EntityKey, Error>> = ids.iter().enumerate().map(parse).collect();
        // Taken before anything is looked up, and all of it is as of that at least.
        let revision = self.registry.batch_get(Vec::new(), min_revision).await.map_err(status)?.revision;
        let mut results = Vec::with_capacity(keys.len());
        for keys in keys.chunks(READ_AT_ONCE) {
            // What has no room in the answer is not looked up.
            let is_refused = budget.refused().is_some();
            let wanted = if is_refused { Vec::new() } else { keys.iter().flatten().cloned().collect() };
            let mut found = self.registry.batch_get(wanted, revision).await.map_err(status)?.value.into_iter();
            let mut result = |key: &Result<EntityKey, Error>| {
                key.as_ref().map_err(|error| status(error.clone()))?;
                if let Some(refused) = budget.refused() {
                    return Err(refused.clone());
                }
                // There is one for each key.
                let entity = found.next().ok_or_else(|| internal(&MissingAnswer))?.map_err(status)?;
                let message = message::<R::Message>(&entity)?;
                budget.admit(message.encoded_len()).map(|()| message)
            };
            results.extend(keys.iter().map(|key| R::of(result(key).map_err(|status| rpc::Status::from(&status)))));
        }
        Ok(answered(Revisioned { revision, value: (results, revision) }))
    }

    /// A page of entities, what asks for the next one, and the revision.
    pub(crate) async fn list<M: EntityMessage>(
        &self,
        filter: impl Into<Filter>,
        page: PageRequest,
        min_revision: i64,
    ) -> Reply<(Vec<M>, String, Revision)> {
        let min_revision = read_revision(min_revision, 0)?;
        let Revisioned { revision, value } =
            self.registry.list(filter.into(), page, min_revision).await.map_err(status)?;
        let EntityPage { entities, next_page_token } = value;
        let messages = entities.iter().map(message).collect::<Result<_, _>>()?;
        Ok(answered(Revisioned { revision, value: (messages, next_page_token, revision) }))
    }
}

/// The message of an entity of a type that was asked for by that type.
pub(crate) fn message<M: EntityMessage>(entity: &Entity) -> Result<M, tonic::Status> {
    let wrong = || WrongType { wanted: M::Entity::TYPE, key: entity.key() };
    M::Entity::of(entity).map(Into::into).ok_or_else(|| internal(&wrong() as &(dyn StdError + 'static)))
}

/// The state that a client asks for: at least of a revision. One of exactly a revision is not built yet.
pub(crate) fn read_revision(min_revision: i64, at_revision: i64) -> Result<Revision, tonic::Status> {
    not_supported("at_revision", at_revision != 0)?;
    if min_revision < 0 {
        return Err(status(invalid("min_revision", "NEGATIVE", "must not be negative")));
    }
    Ok(min_revision)
}

/// Refuses a batch that is too large as a whole.
pub(crate) fn check_batch(field: &str, items: usize) -> Result<(), Error> {
    if items > MAX_BATCH {
        return Err(invalid(field, "TOO_MANY", format_args!("must be at most {MAX_BATCH} items, and are {items}")));
    }
    Ok(())
}

/// What a filter compares a text with: longer than anything that it may equal, a label with its value among them.
const FILTER: TextBounds = TextBounds { min: 0, max: 512 };

/// A filter's text; empty is no condition.
pub(crate) fn given(field: &str, text: String) -> Result<Option<String>, Error> {
    let mut found = Violations::default();
    FILTER.check(field, &text, &mut found);
    found.into_result().map_err(Error::Invalid)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// A segment: unlike an id it may be empty, that of what has none.
pub(crate) fn read_segment(segment: Option<&str>) -> Result<Option<Segment>, Error> {
    let read = segment.map(str::parse).transpose();
    read.map_err(|error: IdError| invalid("segment", "INVALID", error))
}

/// A filter's id; empty is no condition.
pub(crate) fn given_id<T>(field: &str, text: &str) -> Result<Option<T>, Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
{
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|error: T::Err| invalid(field, "INVALID", error))
}

#[derive(Debug, thiserror::Error)]
#[error("{key} was read where {wanted} was asked for")]
struct WrongType {
    wanted: EntityType,
    key: EntityKey,
}
