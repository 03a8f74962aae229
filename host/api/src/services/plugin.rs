//! `cqar.v1.PluginService`

use cqar_proto::{server::plugin_service_server::PluginService, v1};
use tonic::{Code, Request, Response, async_trait};

use super::{Api, Reply};
use crate::status_builder::StatusBuilder;

#[async_trait]
impl PluginService for Api {
    async fn list_plugins(&self, _: Request<v1::ListPluginsRequest>) -> Reply<v1::ListPluginsResponse> {
        Ok(Response::new(v1::ListPluginsResponse { plugins: self.registry.plugins() }))
    }

    async fn get_plugin(&self, request: Request<v1::GetPluginRequest>) -> Reply<v1::Plugin> {
        let name = request.into_inner().name;
        let found = self.registry.plugins().into_iter().find(|plugin| plugin.name == name);
        found.map(Response::new).ok_or_else(|| {
            StatusBuilder::new(
                Code::NotFound,
                "PLUGIN_NOT_FOUND",
                format_args!("no file of a plugin {name:?} was seen"),
            )
            .with_resource("plugin", &name)
            .into_status()
        })
    }
}
