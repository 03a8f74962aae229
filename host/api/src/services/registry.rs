//! `cqar.v1.RegistryService`

use cqar_proto::{convert, server::registry_service_server::RegistryService, v1};
use prost::Message;
use tonic::{Request, Streaming, async_trait};
use tracing::Span;

use super::{
    Api, Reply, answered,
    import_upload::{self, ImportUpload},
};
use crate::{
    reads::check_batch,
    status::{invalid, malformed, status},
    writes::{actor, write_context},
};

#[async_trait]
impl RegistryService for Api {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Reply<v1::ApplyResponse> {
        let actor = actor(&request);
        let mut message = request.into_inner();
        Span::current().record("items", message.mutations.len());
        check_batch("mutations", message.mutations.len()).map_err(status)?;
        if message.mutations.is_empty() {
            return Err(status(invalid("mutations", "REQUIRED", "at least one mutation must be given")));
        }
        let request_id = std::mem::take(&mut message.request_id);
        let write = write_context(actor, "/cqar.v1.RegistryService/Apply", &request_id, message.validate_only, || {
            message.encode_to_vec()
        });
        let write = write.map_err(status)?;
        let mutations = convert::mutations(message.mutations, self.registry.ids());
        let mutations = mutations.map_err(malformed)?;
        Ok(answered(self.registry.apply(write, mutations).await.map_err(status)?))
    }

    async fn import_listing(
        &self,
        request: Request<Streaming<v1::ImportListingRequest>>,
    ) -> Reply<v1::ImportListingResponse> {
        let actor = actor(&request);
        let permit = import_upload::acquire_import_permit(&self.imports).await?;
        let upload = ImportUpload::receive(request.into_inner()).await?;
        Span::current().record("venue", upload.options.venue.as_str());
        let v1::ImportListingOptions { request_id, validate_only, .. } = &upload.options;
        let method = "/cqar.v1.RegistryService/ImportListing";
        let write = write_context(actor, method, request_id, *validate_only, || upload.body()).map_err(status)?;
        let imported = self.registry.import_listing(write, upload.options, upload.payload, permit).await;
        Ok(answered(imported.map_err(status)?))
    }

    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Reply<v1::GetStatusResponse> {
        Ok(answered(self.registry.status().await.map_err(status)?))
    }
}
