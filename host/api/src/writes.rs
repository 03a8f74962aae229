//! What the services have in common where they write: the write of one entity is an `Apply` of one mutation.

use cqar_domain::{id::{EntityKey, IdSource}, mutation::Mutation, violation::Violation};
use cqar_proto::{
    convert,
    v1::{self, entity::Entity as Message},
};
use cqar_registry::{Answer, Error, WriteRequest};
use tonic::Request;
use uuid::Uuid;

use crate::{
    auth::{ANONYMOUS, Actor},
    reads::EntityMessage,
    services::{Api, Reply, answered},
    status::{invalid, malformed, status, wrong},
};

/// A request that writes one entity.
pub(crate) trait EntityWrite: prost::Message {
    /// What it writes.
    type Entity: EntityMessage;
    /// The answer.
    type Response;
    /// The full name of the method.
    const METHOD: &'static str;
    /// The field of the request, or of the answer, that has the entity.
    const FIELD: &'static str;

    /// Takes the id of the request out.
    fn take_request_id(&mut self) -> String;

    /// Whether it is only to be tried.
    fn validate_only(&self) -> bool;

    /// What it asks for.
    fn mutation(self, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>>;

    /// The answer.
    fn response(entity: Option<Self::Entity>, warnings: Vec<v1::Finding>) -> Self::Response;
}

impl Api {
    /// Writes one entity.
    pub(crate) async fn write<W: EntityWrite>(&self, request: Request<W>) -> Reply<W::Response> {
        let actor = actor(&request);
        let mut message = request.into_inner();
        let (request_id, validate_only) = (message.take_request_id(), message.validate_only());
        let request =
            write_request(actor, W::METHOD, &request_id, validate_only, || message.encode_to_vec()).map_err(status)?;
        let mutation = message.mutation(self.registry.ids()).map_err(malformed)?;
        let mutations = vec![(W::FIELD.to_owned(), mutation)];
        let Answer { revision, value } = self.registry.apply(request, mutations).await.map_err(status)?;
        let entity = value.results.into_iter().next().and_then(W::Entity::of_message);
        Ok(answered(Answer { revision, value: W::response(entity, value.warnings) }))
    }
}

/// Who makes the request.
pub(crate) fn actor<T>(request: &Request<T>) -> String {
    request.extensions().get::<Actor>().map_or(ANONYMOUS, Actor::name).to_owned()
}

/// What the registry is to know of a write. The body tells a repetition of a request id from another request, so it is
/// encoded only where there is one.
pub(crate) fn write_request(
    actor: String,
    method: &'static str,
    request_id: &str,
    validate_only: bool,
    body: impl FnOnce() -> Vec<u8>,
) -> Result<WriteRequest, Error> {
    let request_id = match request_id {
        "" => None,
        text => Some(Uuid::try_parse(text).map_err(|_| invalid("request_id", "INVALID", "must be a UUID"))?),
    };
    if let Some(id) = request_id {
        tracing::Span::current().record("request_id", tracing::field::display(id));
    }
    let body = if request_id.is_some() { body() } else { Vec::new() };
    Ok(WriteRequest { actor, method, request_id, body, validate_only })
}

/// Violations as they are found within the field.
fn under(field: &str) -> impl Fn(Vec<Violation>) -> Vec<Violation> {
    move |found| found.into_iter().map(|violation| violation.under(field)).collect()
}

fn key<M: EntityMessage>(id: &str) -> Result<EntityKey, Vec<Violation>> {
    EntityKey::parse(M::TYPE, id).map_err(|error| wrong("id", "INVALID", error))
}

fn etag(etag: String) -> Option<String> {
    Some(etag).filter(|etag| !etag.is_empty())
}

/// The requests of one type of entity that write it: each with its method, and what it asks for.
macro_rules! entity_writes {
    ($service:literal $entity:ident in $field:ident:
        $($what:ident as $method:literal in $request:ident => $response:ident),+ $(,)?) => {$(
        impl EntityWrite for v1::$request {
            type Entity = v1::$entity;
            type Response = v1::$response;
            const METHOD: &'static str = concat!("/cqar.v1.", $service, "/", $method);
            const FIELD: &'static str = stringify!($field);

            fn take_request_id(&mut self) -> String {
                std::mem::take(&mut self.request_id)
            }

            fn validate_only(&self) -> bool {
                self.validate_only
            }

            fn mutation(self, ids: &dyn IdSource) -> Result<Mutation, Vec<Violation>> {
                entity_writes!(@$what self ids $entity $field)
            }

            fn response($field: Option<v1::$entity>, warnings: Vec<v1::Finding>) -> v1::$response {
                v1::$response { $field, warnings }
            }
        }
    )+};
    (@create $self:ident $ids:ident $entity:ident $field:ident) => {{
        let entity = v1::Entity { entity: $self.$field.map(Message::$entity) };
        convert::create(entity, false, $ids).map_err(under(Self::FIELD))
    }};
    (@update $self:ident $ids:ident $entity:ident $field:ident) => {{
        let _ = $ids;
        let entity = $self.$field.map(Message::$entity).ok_or_else(|| wrong(Self::FIELD, "REQUIRED", "must be given"))?;
        convert::update(v1::Entity { entity: Some(entity) }, $self.update_mask).map_err(under(Self::FIELD))
    }};
    (@delete $self:ident $ids:ident $entity:ident $field:ident) => {{
        let _ = $ids;
        Ok(Mutation::Delete { key: key::<v1::$entity>(&$self.id)?, etag: etag($self.etag) })
    }};
    (@undelete $self:ident $ids:ident $entity:ident $field:ident) => {{
        let _ = $ids;
        Ok(Mutation::Undelete { key: key::<v1::$entity>(&$self.id)?, etag: etag($self.etag) })
    }};
    (@delist $self:ident $ids:ident $entity:ident $field:ident) => {{
        let _ = $ids;
        let market = $self.id.parse().map_err(|error| wrong("id", "INVALID", error))?;
        let at = convert::time("delisted_time", $self.delisted_time)?;
        Ok(Mutation::Delist { market, at, etag: etag($self.etag) })
    }};
}

entity_writes! { "AssetService" Asset in asset:
    create as "CreateAsset" in CreateAssetRequest => CreateAssetResponse,
    update as "UpdateAsset" in UpdateAssetRequest => UpdateAssetResponse,
    delete as "DeleteAsset" in DeleteAssetRequest => DeleteAssetResponse,
    undelete as "UndeleteAsset" in UndeleteAssetRequest => UndeleteAssetResponse,
}
entity_writes! { "ChainService" Chain in chain:
    create as "CreateChain" in CreateChainRequest => CreateChainResponse,
    update as "UpdateChain" in UpdateChainRequest => UpdateChainResponse,
    delete as "DeleteChain" in DeleteChainRequest => DeleteChainResponse,
}
entity_writes! { "VenueService" Venue in venue:
    create as "CreateVenue" in CreateVenueRequest => CreateVenueResponse,
    update as "UpdateVenue" in UpdateVenueRequest => UpdateVenueResponse,
    delete as "DeleteVenue" in DeleteVenueRequest => DeleteVenueResponse,
    undelete as "UndeleteVenue" in UndeleteVenueRequest => UndeleteVenueResponse,
}
entity_writes! { "VenueService" VenueAsset in venue_asset:
    create as "CreateVenueAsset" in CreateVenueAssetRequest => CreateVenueAssetResponse,
    update as "UpdateVenueAsset" in UpdateVenueAssetRequest => UpdateVenueAssetResponse,
    delete as "DeleteVenueAsset" in DeleteVenueAssetRequest => DeleteVenueAssetResponse,
}
entity_writes! { "InstrumentService" Instrument in instrument:
    create as "CreateInstrument" in CreateInstrumentRequest => CreateInstrumentResponse,
    update as "UpdateInstrument" in UpdateInstrumentRequest => UpdateInstrumentResponse,
    delete as "DeleteInstrument" in DeleteInstrumentRequest => DeleteInstrumentResponse,
    undelete as "UndeleteInstrument" in UndeleteInstrumentRequest => UndeleteInstrumentResponse,
}
entity_writes! { "MarketService" Market in market:
    create as "CreateMarket" in CreateMarketRequest => CreateMarketResponse,
    update as "UpdateMarket" in UpdateMarketRequest => UpdateMarketResponse,
    delete as "DeleteMarket" in DeleteMarketRequest => DeleteMarketResponse,
    delist as "DelistMarket" in DelistMarketRequest => DelistMarketResponse,
}
