//! `cqar.v1.PluginService`

use cqar_proto::{
    server::plugin_service_server::PluginService,
    v1::{self, ErrorReason},
};
use cqar_registry::PageRequest;
use tonic::{Code, Request, Response, async_trait};

use super::{Api, Reply};
use crate::{memory::received, status::status, status_builder::StatusBuilder};

#[async_trait]
impl PluginService for Api {
    async fn list_plugins(&self, request: Request<v1::ListPluginsRequest>) -> Reply<v1::ListPluginsResponse> {
        let v1::ListPluginsRequest { page_size: size, page_token: token } = received(request)?;
        let (plugins, next_page_token) = self.registry.list_plugins(&PageRequest { size, token }).map_err(status)?;
        Ok(Response::new(v1::ListPluginsResponse { plugins, next_page_token }))
    }

    async fn get_plugin(&self, request: Request<v1::GetPluginRequest>) -> Reply<v1::Plugin> {
        let name = received(request)?.name;
        let found = self.registry.plugins().into_iter().find(|plugin| plugin.name == name);
        found.map(Response::new).ok_or_else(|| {
            StatusBuilder::new(
                Code::NotFound,
                ErrorReason::PluginNotFound,
                format_args!("no file of a plugin {name:?} was seen"),
            )
            .with_resource("plugin", &name)
            .into_status()
        })
    }
}
