//! `cqar.v1.PluginService`

use std::pin::Pin;

use cqar_proto::{
    server::plugin_service_server::PluginService,
    v1::{self, ErrorReason},
};
use cqar_registry::{PageRequest, PluginOperation};
use futures::{FutureExt, Stream, StreamExt, stream};
use tokio_stream::wrappers::{BroadcastStream, errors::BroadcastStreamRecvError};
use tonic::{Code, Request, Response, Status, async_trait};

use super::{Api, Reply};
use crate::{listen::Peer, memory::received, reads::check_batch, status::status, status_builder::StatusBuilder};

impl Api {
    /// Does something with a plugin, and says how it stands then.
    async fn operate(&self, name: &str, operation: PluginOperation) -> Result<Option<v1::Plugin>, Status> {
        self.registry.operate_plugin(name, operation).await.map_err(status)?;
        self.registry.plugin(name).map(Some).map_err(status)
    }
}

#[async_trait]
impl PluginService for Api {
    type WatchPluginsStream = Pin<Box<dyn Stream<Item = Result<v1::PluginEvent, Status>> + Send>>;

    async fn list_plugins(&self, request: Request<v1::ListPluginsRequest>) -> Reply<v1::ListPluginsResponse> {
        let v1::ListPluginsRequest { page_size: size, page_token: token } = received(request)?;
        let (plugins, next_page_token) = self.registry.list_plugins(&PageRequest { size, token }).map_err(status)?;
        Ok(Response::new(v1::ListPluginsResponse { plugins, next_page_token }))
    }

    async fn get_plugin(&self, request: Request<v1::GetPluginRequest>) -> Reply<v1::Plugin> {
        let name = received(request)?.name;
        self.registry.plugin(&name).map(Response::new).map_err(status)
    }

    async fn disable_plugin(&self, request: Request<v1::DisablePluginRequest>) -> Reply<v1::DisablePluginResponse> {
        let plugin = self.operate(&received(request)?.name, PluginOperation::Disable).await?;
        Ok(Response::new(v1::DisablePluginResponse { plugin }))
    }

    async fn enable_plugin(&self, request: Request<v1::EnablePluginRequest>) -> Reply<v1::EnablePluginResponse> {
        let plugin = self.operate(&received(request)?.name, PluginOperation::Enable).await?;
        Ok(Response::new(v1::EnablePluginResponse { plugin }))
    }

    async fn remove_plugin(&self, request: Request<v1::RemovePluginRequest>) -> Reply<v1::RemovePluginResponse> {
        let name = received(request)?.name;
        self.registry.operate_plugin(&name, PluginOperation::Remove).await.map_err(status)?;
        Ok(Response::new(v1::RemovePluginResponse {}))
    }

    async fn reload_plugin(&self, request: Request<v1::ReloadPluginRequest>) -> Reply<v1::ReloadPluginResponse> {
        let plugin = self.operate(&received(request)?.name, PluginOperation::Reload).await?;
        Ok(Response::new(v1::ReloadPluginResponse { plugin }))
    }

    async fn lift_plugin(&self, request: Request<v1::LiftPluginRequest>) -> Reply<v1::LiftPluginResponse> {
        let plugin = self.operate(&received(request)?.name, PluginOperation::Lift).await?;
        Ok(Response::new(v1::LiftPluginResponse { plugin }))
    }

    async fn evaluate_plugin(&self, request: Request<v1::EvaluatePluginRequest>) -> Reply<v1::EvaluatePluginResponse> {
        let v1::EvaluatePluginRequest { name, case } = received(request)?;
        let evaluated = self.registry.evaluate_plugin(&name, &case).await.map_err(status)?;
        let took = Some(evaluated.took.into());
        Ok(Response::new(v1::EvaluatePluginResponse { output: evaluated.output, hash: evaluated.hash, took }))
    }

    async fn capture_plugin(&self, request: Request<v1::CapturePluginRequest>) -> Reply<v1::CapturePluginResponse> {
        let v1::CapturePluginRequest { name, export, count } = received(request)?;
        let count = usize::try_from(count).unwrap_or(0);
        let calls = self.registry.capture_plugin(&name, &export, count).map_err(status)?;
        Ok(Response::new(v1::CapturePluginResponse { calls }))
    }

    async fn watch_plugins(&self, request: Request<v1::WatchPluginsRequest>) -> Reply<Self::WatchPluginsStream> {
        let ended = Peer::stream_end(&request);
        let names = received(request)?.names;
        check_batch("names", names.len()).map_err(status)?;
        let is_asked = move |event: &v1::PluginEvent| names.is_empty() || names.contains(&event.name);
        let (last, events) = self.registry.watch_plugins();
        let events = BroadcastStream::new(events)
            .map(|event| event.map_err(|BroadcastStreamRecvError::Lagged(lost)| events_lost(lost)));
        let events = stream::iter(last).map(Ok).chain(events);
        let events = events.filter(move |event| std::future::ready(event.as_ref().map_or(true, &is_asked)));
        // The stream has no end of its own: the first error, this one included, is what ends the call.
        let stopped = ended.map(Err).into_stream();
        Ok(Response::new(Box::pin(stream::select(stopped, events))))
    }
}

fn events_lost(lost: u64) -> Status {
    let message =
        format_args!("{lost} events were lost, as they were not read in time; list the plugins, and watch again");
    StatusBuilder::new(Code::OutOfRange, ErrorReason::PluginEventsLost, message).into_status()
}
