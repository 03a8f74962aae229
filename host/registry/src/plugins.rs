//! The plugins of this server, for their operator.

use cqar_domain::violation::Violation;
use cqar_plugins::{EvaluateError, Evaluated, OperateError, PluginOperation};
use cqar_proto::v1;
use prost::Message as _;
use tokio::sync::broadcast;

use crate::{
    Error, PageRequest, Registry,
    list::{MAX_PAGE_BYTES, read_token, token},
};

/// The most calls of one capture: each may have megabytes.
const MAX_CAPTURED: usize = 16;

impl Registry {
    /// The plugins, in the order of their names, and what asks for the next page; empty if this is the last. What grows with what
    /// became of them is left out.
    pub fn list_plugins(&self, page: &PageRequest) -> Result<(Vec<v1::Plugin>, String), Error> {
        const FINGERPRINT: &str = "plugins";
        let size = page.size()?;
        let after: Option<String> = read_token(FINGERPRINT, &page.token, Some)?;
        let mut plugins = self.inner.plugins.list();
        plugins.retain(|plugin| after.as_ref().is_none_or(|after| plugin.name > *after));
        for plugin in &mut plugins {
            (plugin.history, plugin.failures) = (Vec::new(), Vec::new());
            if let Some(replay) = &mut plugin.replay {
                replay.changes = Vec::new();
            }
        }
        let mut bytes = 0;
        let mut has_room = |plugin: &v1::Plugin| {
            let is_first = bytes == 0;
            bytes += plugin.encoded_len();
            is_first || bytes <= MAX_PAGE_BYTES
        };
        let of_page = plugins.iter().take(size as usize).take_while(|plugin| has_room(plugin)).count();
        let has_more = plugins.len() > of_page;
        plugins.truncate(of_page);
        let last = plugins.last().filter(|_| has_more);
        let next_page_token = last.map(|last| token(FINGERPRINT, &last.name)).unwrap_or_default();
        Ok((plugins, next_page_token))
    }

    /// Everything about one plugin.
    pub fn plugin(&self, name: &str) -> Result<v1::Plugin, Error> {
        let found = self.inner.plugins.list().into_iter().find(|plugin| plugin.name == name);
        found.ok_or_else(|| Error::PluginNotFound { plugin: name.to_owned() })
    }

    /// Does something with a plugin, beside changing its files.
    pub async fn operate_plugin(&self, name: &str, operation: PluginOperation) -> Result<(), Error> {
        let plugin = name.to_owned();
        self.inner.plugins.operate(name, operation).await.map_err(|error| match error {
            OperateError::NotFound => Error::PluginNotFound { plugin },
            OperateError::Refused(reason) => Error::PluginOperationRefused { plugin, reason },
            error @ (OperateError::NotRemembered | OperateError::Stopping) => {
                Error::PluginFailed { plugin, reason: error.to_string() }
            }
        })
    }

    /// Asks a plugin, without anything coming of it.
    pub async fn evaluate_plugin(&self, name: &str, case: &str) -> Result<Evaluated, Error> {
        self.inner.plugins.evaluate(name, case).await.map_err(|error| evaluate_error(name, error))
    }

    /// The newest recorded calls of a plugin: at least one, and 16 at most.
    pub fn capture_plugin(&self, name: &str, export: &str, count: usize) -> Result<Vec<v1::CapturedCall>, Error> {
        let count = count.clamp(1, MAX_CAPTURED);
        self.inner.plugins.capture(name, export, count).map_err(|error| evaluate_error(name, error))
    }

    /// What last became of each plugin, and what becomes of them from then on.
    pub fn watch_plugins(&self) -> (Vec<v1::PluginEvent>, broadcast::Receiver<v1::PluginEvent>) {
        // In this order, something may come twice, and nothing is lost.
        let events = self.inner.plugins.events();
        let last = self.inner.plugins.list().into_iter().filter_map(|plugin| plugin.history.into_iter().next());
        (last.collect(), events)
    }
}

fn evaluate_error(name: &str, error: EvaluateError) -> Error {
    let plugin = name.to_owned();
    match error {
        EvaluateError::NotFound => Error::PluginNotFound { plugin },
        EvaluateError::NotServing(reason) => Error::PluginNotServing { plugin, reason },
        EvaluateError::Case(message) => {
            Error::Invalid(vec![Violation { field: "case".to_owned(), code: "MALFORMED".to_owned(), message }])
        }
        EvaluateError::Failed(error) => Error::PluginFailed { plugin, reason: error.to_string() },
    }
}
