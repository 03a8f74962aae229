//! What the services have in common where they write: the write of one entity is an `Apply` of one mutation.

use std::{any::Any, sync::Arc};

use cqar_domain::{
    entity::TypedEntity,
    id::{EntityKey, IdSource},
    mutation::{Mutation, RequestedMutation},
    text::REASON,
    violation::{Violation, Violations},
};
use cqar_proto::{
    convert::{self, EntityMessage},
    v1,
    well_known::FieldMask,
};
use cqar_registry::{Error, Revisioned, WriteContext, request_hash};
use tonic::Request;
use uuid::Uuid;

use crate::{
    auth::{ANONYMOUS, Actor},
    memory::{CallMemory, received},
    services::{Api, Reply, answered},
    status::{invalid, malformed, not_supported, status, wrong},
};

/// A request that writes one entity.
pub(crate) trait EntityWrite: prost::Message {
    /// What it writes.
    type Entity: EntityMessage;
    /// The answer.
    type Response;
    /// The full name of the method.
    const METHOD: &'static str;
    /// The field of the request that has the entity, or its id.
    const PATH: &'static str;

    /// The fields that every write has; its id and `validate_only` are taken out, as they do not tell requests apart.
    fn take_options(&mut self) -> WriteOptions;

    /// What it asks for.
    fn mutation(self, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>>;

    /// The answer.
    fn response(entity: Option<Self::Entity>, warnings: Vec<v1::Finding>) -> Self::Response;
}

impl Api {
    /// Writes one entity.
    pub(crate) async fn write<W: EntityWrite>(&self, request: Request<W>) -> Reply<W::Response> {
        let sender = Sender::of(&request);
        let mut message = received(request)?;
        let options = message.take_options();
        not_supported("effective_time", options.effective_time.is_some())?;
        check_reason("reason", &options.reason).map_err(status)?;
        let hash = || request_hash(W::METHOD, [message.encode_to_vec().as_slice()]);
        let context =
            write_context(sender, W::METHOD, ("request_id", &options.request_id), options.validate_only, hash);
        let context = context.map_err(status)?;
        let mutation = message.mutation(self.registry.ids()).map_err(malformed)?;
        let mutation = RequestedMutation { field: W::PATH.to_owned(), reason: options.reason, mutation };
        let Revisioned { revision, value } = self.registry.apply(context, vec![mutation]).await.map_err(status)?;
        let entity = value.results.into_iter().next().and_then(|it| it.entity).and_then(W::Entity::unwrap);
        Ok(answered(Revisioned { revision, value: W::response(entity, value.warnings) }))
    }
}

/// The fields that every write has.
pub(crate) struct WriteOptions {
    pub(crate) request_id: String,
    pub(crate) validate_only: bool,
    pub(crate) reason: String,
    pub(crate) effective_time: Option<cqar_proto::well_known::Timestamp>,
}

/// Refuses a reason that is none.
pub(crate) fn check_reason(field: &str, reason: &str) -> Result<(), Error> {
    let mut found = Violations::default();
    REASON.check(field, reason, &mut found);
    found.into_result().map_err(Error::Invalid)
}

/// Who makes a request, and what the request has taken from the budget of memory.
pub(crate) struct Sender {
    actor: String,
    memory: Option<CallMemory>,
}

impl Sender {
    /// Of a request.
    pub(crate) fn of<T>(request: &Request<T>) -> Self {
        let extensions = request.extensions();
        Self {
            actor: extensions.get::<Actor>().map_or(ANONYMOUS, Actor::name).to_owned(),
            memory: extensions.get::<CallMemory>().cloned(),
        }
    }

    /// The memory of the call; none where nobody counts.
    pub(crate) const fn memory(&self) -> Option<&CallMemory> {
        self.memory.as_ref()
    }
}

/// What the registry is to know of a write. The hash tells a repetition of a request id from another request, so it is
/// made only where there is one.
pub(crate) fn write_context(
    sender: Sender,
    method: &'static str,
    (field, request_id): (&str, &str),
    validate_only: bool,
    hash: impl FnOnce() -> Vec<u8>,
) -> Result<WriteContext, Error> {
    let request_id = match request_id {
        "" => None,
        text => Some(Uuid::try_parse(text).map_err(|_| invalid(field, "INVALID", "must be a UUID"))?),
    };
    if let Some(id) = request_id {
        tracing::Span::current().record("request_id", tracing::field::display(id));
    }
    let body_hash = if request_id.is_some() { hash() } else { Vec::new() };
    // The write goes on if its caller leaves, and so does what it has in memory.
    let held = sender.memory.map(|memory| Arc::new(memory) as Arc<dyn Any + Send + Sync>);
    Ok(WriteContext { actor: sender.actor, method, request_id, body_hash, validate_only, held })
}

/// Violations as they are found within the field.
fn under(field: &str) -> impl Fn(Vec<Violation>) -> Vec<Violation> {
    move |found| found.into_iter().map(|violation| violation.under(field)).collect()
}

/// The creation of what a request holds in a field.
pub(crate) fn create<M: EntityMessage>(
    field: &str,
    message: Option<M>,
    ids: &dyn IdSource,
) -> Result<Mutation, Vec<Violation>> {
    let entity = v1::Entity { entity: message.map(M::wrap) };
    convert::create(entity, false, ids).map_err(under(field))
}

/// The update that a request holds in a field.
pub(crate) fn update<M: EntityMessage>(
    field: &str,
    message: Option<M>,
    mask: Option<FieldMask>,
) -> Result<Mutation, Vec<Violation>> {
    let message = message.ok_or_else(|| wrong(field, "REQUIRED", "must be given"))?;
    convert::update(v1::Entity { entity: Some(message.wrap()) }, mask).map_err(under(field))
}

/// The key of the entity that a request names by its id.
pub(crate) fn key<M: EntityMessage>(field: &str, id: &str) -> Result<EntityKey, Vec<Violation>> {
    EntityKey::parse(M::Entity::TYPE, id).map_err(|error| wrong(field, "INVALID", error))
}

/// The etag that must be the current one, if any must.
pub(crate) fn etag(etag: String) -> Option<String> {
    Some(etag).filter(|etag| !etag.is_empty())
}

/// The requests of one type of entity that write it: each with its method, and what it asks for.
macro_rules! entity_writes {
    ($service:literal $entity:ident in $field:ident, $id:ident:
        $($what:ident as $method:literal in $request:ident => $response:ident),+ $(,)?) => {$(
        impl $crate::writes::EntityWrite for v1::$request {
            type Entity = v1::$entity;
            type Response = v1::$response;
            const METHOD: &'static str = concat!("/cqar.v1.", $service, "/", $method);
            const PATH: &'static str = $crate::writes::entity_writes!(@path $what $field $id);

            fn take_options(&mut self) -> $crate::writes::WriteOptions {
                $crate::writes::WriteOptions {
                    request_id: std::mem::take(&mut self.request_id),
                    validate_only: std::mem::take(&mut self.validate_only),
                    reason: self.reason.clone(),
                    effective_time: self.effective_time,
                }
            }

            fn mutation(
                self,
                ids: &dyn cqar_domain::id::IdSource,
            ) -> Result<cqar_domain::mutation::Mutation, Vec<cqar_domain::violation::Violation>> {
                $crate::writes::entity_writes!(@$what self ids $entity $field $id)
            }

            fn response($field: Option<v1::$entity>, warnings: Vec<v1::Finding>) -> v1::$response {
                v1::$response { $field, warnings }
            }
        }
    )+};
    (@path create $field:ident $id:ident) => { stringify!($field) };
    (@path update $field:ident $id:ident) => { stringify!($field) };
    (@path $what:ident $field:ident $id:ident) => { stringify!($id) };
    (@create $self:ident $ids:ident $entity:ident $field:ident $id:ident) => {
        $crate::writes::create::<v1::$entity>(Self::PATH, $self.$field, $ids)
    };
    (@update $self:ident $ids:ident $entity:ident $field:ident $id:ident) => {{
        let _ = $ids;
        $crate::writes::update::<v1::$entity>(Self::PATH, $self.$field, $self.update_mask)
    }};
    (@delete $self:ident $ids:ident $entity:ident $field:ident $id:ident) => {{
        let _ = $ids;
        let (key, etag) = ($crate::writes::key::<v1::$entity>(Self::PATH, &$self.$id)?, $crate::writes::etag($self.etag));
        Ok(cqar_domain::mutation::Mutation::Delete { key, etag })
    }};
    (@undelete $self:ident $ids:ident $entity:ident $field:ident $id:ident) => {{
        let _ = $ids;
        let (key, etag) = ($crate::writes::key::<v1::$entity>(Self::PATH, &$self.$id)?, $crate::writes::etag($self.etag));
        Ok(cqar_domain::mutation::Mutation::Undelete { key, etag })
    }};
    (@delist $self:ident $ids:ident $entity:ident $field:ident $id:ident) => {{
        let _ = $ids;
        let market = $self.$id.parse().map_err(|error| $crate::status::wrong(Self::PATH, "INVALID", error))?;
        let at = cqar_proto::convert::time("delisted_time", $self.delisted_time)?;
        Ok(cqar_domain::mutation::Mutation::Delist { market, at, etag: $crate::writes::etag($self.etag) })
    }};
}
pub(crate) use entity_writes;
