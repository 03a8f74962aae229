//! `cqar.v1.RegistryService`

use std::pin::Pin;

use cqar_proto::{
    convert,
    server::registry_service_server::RegistryService,
    v1::{self, import_listing_response::Step},
};
use cqar_registry::{import::RunningImport, request_hash};
use futures::{FutureExt, Stream, StreamExt, stream};
use prost::Message;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::Span;

use super::{
    Api, Reply, answered,
    import_upload::{self, ImportUpload},
};
use crate::{
    memory::received,
    reads::check_batch,
    status::{invalid, malformed, not_supported, status},
    writes::{Sender, check_reason, write_context},
};

#[async_trait]
impl RegistryService for Api {
    async fn apply(&self, request: Request<v1::ApplyRequest>) -> Reply<v1::ApplyResponse> {
        let sender = Sender::of(&request);
        let mut message = received(request)?;
        Span::current().record("items", message.mutations.len());
        check_batch("mutations", message.mutations.len()).map_err(status)?;
        if message.mutations.is_empty() {
            return Err(status(invalid("mutations", "REQUIRED", "at least one mutation must be given")));
        }
        not_supported("effective_time", message.effective_time.is_some())?;
        check_reason("reason", &message.reason).map_err(status)?;
        for (n, mutation) in message.mutations.iter().enumerate() {
            not_supported(&format!("mutations[{n}].effective_time"), mutation.effective_time.is_some())?;
            check_reason(&format!("mutations[{n}].reason"), &mutation.reason).map_err(status)?;
        }
        let method = "/cqar.v1.RegistryService/Apply";
        let request_id = std::mem::take(&mut message.request_id);
        let validate_only = std::mem::take(&mut message.validate_only);
        let hash = || request_hash(method, [message.encode_to_vec().as_slice()]);
        let write = write_context(sender, method, ("request_id", &request_id), validate_only, hash).map_err(status)?;
        let mutations = convert::mutations(message.mutations, &message.reason, self.registry.ids());
        let mutations = mutations.map_err(malformed)?;
        Ok(answered(self.registry.apply(write, mutations).await.map_err(status)?))
    }

    type ImportListingStream = Pin<Box<dyn Stream<Item = Result<v1::ImportListingResponse, Status>> + Send>>;

    async fn import_listing(
        &self,
        request: Request<Streaming<v1::ImportListingRequest>>,
    ) -> Reply<Self::ImportListingStream> {
        let sender = Sender::of(&request);
        let permit = import_upload::acquire_import_permit(&self.imports).await?;
        let upload = ImportUpload::receive(request.into_inner(), sender.memory()).await?;
        Span::current().record("venue_id", upload.options.venue_id.as_str());
        let v1::ImportListingOptions { request_id, validate_only, .. } = &upload.options;
        let method = "/cqar.v1.RegistryService/ImportListing";
        let id = ("options.request_id", request_id.as_str());
        let write = write_context(sender, method, id, *validate_only, || upload.hash(method)).map_err(status)?;
        let running = self.registry.import_listing(write, upload.options, upload.payload, permit);
        Ok(Response::new(Box::pin(steps(running))))
    }

    async fn get_status(&self, _: Request<v1::GetStatusRequest>) -> Reply<v1::GetStatusResponse> {
        Ok(answered(self.registry.status()))
    }
}

/// The progress of an import, and once it is over, its rows and its summary.
fn steps(running: RunningImport) -> impl Stream<Item = Result<v1::ImportListingResponse, Status>> {
    let RunningImport { mut progress, outcome } = running;
    let progress = stream::poll_fn(move |cx| progress.poll_recv(cx)).map(|progress| Ok(Step::Progress(progress)));
    let outcome = outcome.into_stream().flat_map(|outcome| match outcome {
        Ok(report) => stream::iter(report.into_steps().map(Ok).collect::<Vec<_>>()),
        Err(error) => stream::iter(vec![Err(status(error))]),
    });
    let response = |step| v1::ImportListingResponse { step: Some(step) };
    progress.chain(outcome).map(move |step| step.map(response))
}
