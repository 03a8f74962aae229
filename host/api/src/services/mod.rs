//! The services of the contract, one file each.

mod asset;
mod chain;
mod event;
mod identifier;
mod import_upload;
mod instrument;
mod market;
mod plugin;
mod registry;
mod venue;

use std::sync::Arc;

use cqar_proto::{
    DESCRIPTORS,
    server::{
        asset_service_server::{AssetServiceServer, SERVICE_NAME as ASSETS},
        chain_service_server::{ChainServiceServer, SERVICE_NAME as CHAINS},
        event_service_server::{EventServiceServer, SERVICE_NAME as EVENTS},
        identifier_service_server::{IdentifierServiceServer, SERVICE_NAME as IDENTIFIERS},
        instrument_service_server::{InstrumentServiceServer, SERVICE_NAME as INSTRUMENTS},
        market_service_server::{MarketServiceServer, SERVICE_NAME as MARKETS},
        plugin_service_server::{PluginServiceServer, SERVICE_NAME as PLUGINS},
        registry_service_server::{RegistryServiceServer, SERVICE_NAME as REGISTRY},
        venue_service_server::{SERVICE_NAME as VENUES, VenueServiceServer},
    },
};
use cqar_registry::{Registry, Revisioned};
use tokio::sync::Semaphore;
use tonic::{Response, Status, codec::CompressionEncoding, metadata::MetadataValue, service::Routes};
use tonic_health::pb::FILE_DESCRIPTOR_SET as HEALTH_DESCRIPTORS;

/// Their names, as health reports them.
pub(crate) const SERVICES: [&str; 9] =
    [ASSETS, CHAINS, EVENTS, IDENTIFIERS, INSTRUMENTS, MARKETS, PLUGINS, REGISTRY, VENUES];

/// The most items of a batch or an `Apply`.
pub(crate) const MAX_BATCH: usize = 10_000;

/// The most imports at the same time. Each holds a few times its payload, of at most 64 MiB, and they are read and
/// written one by one in any case.
pub(crate) const MAX_IMPORTS: usize = 4;

/// What implements every service.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) registry: Registry,
    /// A permit for each import that may be received and written at the same time.
    pub(crate) imports: Arc<Semaphore>,
}

/// What a handler answers.
pub(crate) type Reply<T> = Result<Response<T>, Status>;

/// The answer, with the revision that it reflects.
pub(crate) fn answered<T>(answer: Revisioned<T>) -> Response<T> {
    let mut response = Response::new(answer.value);
    response.metadata_mut().insert("x-cqar-revision", MetadataValue::from(answer.revision));
    response
}

/// Each service with the limit of its messages. A client may compress what it sends, a listing above all. Answers are not
/// compressed: some clients ask for it unasked, and it takes longer than to resolve a symbol.
pub(crate) fn routes(api: &Api, max_request_bytes: usize) -> Result<Routes, tonic_reflection::server::Error> {
    macro_rules! service {
        ($server:ident) => {
            $server::new(api.clone())
                .max_decoding_message_size(max_request_bytes)
                .accept_compressed(CompressionEncoding::Gzip)
        };
    }
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(HEALTH_DESCRIPTORS)
    };
    Ok(Routes::new(service!(MarketServiceServer))
        .add_service(service!(AssetServiceServer))
        .add_service(service!(ChainServiceServer))
        .add_service(service!(VenueServiceServer))
        .add_service(service!(IdentifierServiceServer))
        .add_service(service!(InstrumentServiceServer))
        .add_service(service!(RegistryServiceServer))
        .add_service(service!(EventServiceServer))
        .add_service(service!(PluginServiceServer))
        .add_service(reflection().build_v1()?)
        .add_service(reflection().build_v1alpha()?))
}
