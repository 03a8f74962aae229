//! All plugins as they serve at one instant: what one request works with.

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::{
    context::CallContext,
    error::CallError,
    generation::Generation,
    kinds::{
        symbology::{NotServing, Symbology},
        transform::Transformer,
        validator::{self, Change, Judgement, ValidateError, Validator},
    },
    runtime::lookups::SharedReadSet,
    table::{Plugin, PluginStatus, PluginTable, Plugins},
};

/// A snapshot of all plugins. One request works with one.
#[derive(Clone)]
pub struct PluginSet {
    pub(crate) plugins: Arc<Plugins>,
    table: Arc<PluginTable>,
}

impl PluginSet {
    /// All plugins as they serve now.
    pub(crate) fn of(table: &Arc<PluginTable>) -> Self {
        Self { plugins: table.load(), table: Arc::clone(table) }
    }

    /// Has the validators judge changes, in the order of their names. Each sees only what it subscribes to, at most 256
    /// changes at a time; all their look-ups see one state.
    pub async fn validate(&self, call: &CallContext, changes: Arc<[Change]>) -> Result<Judgement, ValidateError> {
        let set = self.settled(&changes).await?;
        let mut judgement = Judgement::default();
        let read_set = SharedReadSet::default();
        let mut document: Option<Arc<str>> = None;
        for generation in set.plugins.by_name.values().filter_map(|plugin| plugin.serving.as_ref()) {
            let Some(validator) = generation.interfaces::<Validator>() else { continue };
            let subscribes = |change: &Change| generation.manifest.subscribes(change.entity_type);
            let seen: Vec<_> =
                changes.iter().enumerate().filter(|(_, it)| subscribes(it)).map(|(index, _)| index).collect();
            if seen.is_empty() {
                continue;
            }
            let document = document.get_or_insert_with(|| call.document().into());
            let plugin = &generation.name;
            let judged = validator::judge(
                validator,
                plugin,
                document,
                call.now,
                &changes,
                seen,
                &read_set,
                generation.manifest.looks_up,
            )
            .await;
            let mut findings = judged.map_err(|error| match error {
                CallError::Moved => ValidateError::Moved,
                error => ValidateError::Failed { plugin: plugin.to_string(), reason: error.to_string() },
            })?;
            judgement.findings.append(&mut findings);
            judgement.judged_by.push(format!("{plugin}@{}", generation.hash.short()));
            judgement.subscriptions.push(generation.manifest.subscriptions.clone());
        }
        judgement.read = read_set.take();
        Ok(judgement)
    }

    /// The symbology of this name.
    pub fn symbology(&self, name: &str) -> Result<Symbology, NotServing> {
        let not_serving = |reason| NotServing { plugin: name.to_owned(), reason };
        let generation = self.serving(name).map_err(not_serving)?;
        generation.interfaces::<Symbology>().cloned().ok_or_else(|| not_serving(is_a(generation)))
    }

    /// The transform of this name.
    pub(crate) fn transform(&self, name: &str) -> Result<(&Transformer, &Generation), String> {
        let generation = self.serving(name)?;
        let transformer = generation.interfaces::<Transformer>().ok_or_else(|| is_a(generation))?;
        Ok((transformer, generation))
    }

    /// How every plugin stands, in the order of their names.
    pub(crate) fn statuses(&self) -> Vec<PluginStatus> {
        let status = |plugin: &Plugin| {
            let (calls, failed_calls) = plugin.shared.stats.figures();
            let status = PluginStatus { calls, failed_calls, ..plugin.status.clone() };
            let Some(generation) = &plugin.serving else { return status };
            let monitor = &generation.monitor;
            PluginStatus {
                last_failure: monitor.last_failure(),
                failures: monitor.failures(),
                memory_peak_bytes: monitor.memory_peak_bytes(),
                instances: monitor.instances(),
                ..status
            }
        };
        self.plugins.by_name.values().map(status).collect()
    }

    fn serving(&self, name: &str) -> Result<&Generation, String> {
        let plugin = self.plugins.by_name.get(name).ok_or("there is no file of that name in the plugin directory")?;
        plugin.serving.as_deref().ok_or_else(|| plugin.reason())
    }

    /// The set itself, once nothing is unsettled that might have to judge these changes; else which plugin is missing. What is being
    /// tried is waited for within a bound, and then this set is of a later instant than the one that it came from.
    async fn settled(&self, changes: &[Change]) -> Result<Self, ValidateError> {
        let mut set = self.clone();
        let mut versions = self.table.subscribe();
        let deadline = Instant::now() + self.table.settle_timeout;
        loop {
            versions.mark_unchanged();
            let Some((name, plugin)) = set.missing(changes) else { return Ok(set) };
            let not_serving = ValidateError::NotServing { plugin: name.clone(), reason: plugin.reason() };
            if !plugin.is_pending {
                return Err(not_serving);
            }
            // An error means that the time is up, or that the host is gone.
            let Ok(_waiting) = self.table.waiting.try_acquire() else { return Err(not_serving) };
            if !matches!(timeout_at(deadline, versions.changed()).await, Ok(Ok(()))) {
                return Err(not_serving);
            }
            set.plugins = self.table.load();
        }
    }

    /// A plugin that would have to see some of these changes, and does not serve.
    fn missing(&self, changes: &[Change]) -> Option<(&String, &Plugin)> {
        let mut plugins = self.plugins.by_name.iter();
        plugins.find(|(_, plugin)| changes.iter().any(|change| plugin.is_missing_for(change.entity_type)))
    }
}

fn is_a(generation: &Generation) -> String {
    format!("it is a {}", generation.manifest.kind.name())
}
