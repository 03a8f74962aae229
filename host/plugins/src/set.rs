//! All plugins as they serve at one instant: what one request works with.

use std::{collections::BTreeMap, sync::Arc};

use cqar_domain::id::EntityType;
use cqar_proto::v1::{self, plugin::State};

use crate::{
    bindings::exports::cqar::plugin::transform,
    context::CallContext,
    error::CallError,
    generation::{Exports, Generation},
    lane::Lane,
    last_good::LastGoodGeneration,
    lookups::Trail,
    stats::Stats,
    symbology::{NotServing, Symbology},
    validator::{self, Change, Judgement, ValidateError},
};

/// How a plugin stands: the facts of `cqar.v1.Plugin`.
pub type PluginStatus = v1::Plugin;

/// One plugin, and the generation that serves.
pub(crate) struct Plugin {
    pub(crate) serving: Option<Arc<Generation>>,
    pub(crate) required: bool,
    /// What its last good generation was, over restarts.
    pub(crate) kept: Option<LastGoodGeneration>,
    /// All but the figures, which change with every call.
    pub(crate) status: PluginStatus,
    pub(crate) stats: Arc<Stats>,
}

/// All plugins.
#[derive(Default)]
pub(crate) struct Plugins {
    pub(crate) by_name: BTreeMap<String, Plugin>,
    /// Why the directory cannot be read, if it cannot.
    pub(crate) directory_failure: Option<String>,
}

/// A snapshot of all plugins. One request works with one.
#[derive(Clone)]
pub struct PluginSet {
    pub(crate) plugins: Arc<Plugins>,
}

impl PluginSet {
    /// Has the validators judge changes, in the order of their names. Each sees only what it subscribes to, at most 256
    /// changes at a time; all their look-ups see one state.
    pub async fn validate(&self, call: &CallContext, changes: Arc<[Change]>) -> Result<Judgement, ValidateError> {
        self.require(&changes)?;
        let mut judgement = Judgement::default();
        let trail = Trail::default();
        let mut document: Option<Arc<str>> = None;
        for generation in self.plugins.by_name.values().filter_map(|plugin| plugin.serving.as_ref()) {
            let Exports::Validator(lane) = &generation.exports else { continue };
            let subscribes = |change: &Change| generation.manifest.subscribes(change.entity_type);
            let seen: Vec<_> =
                changes.iter().enumerate().filter(|(_, it)| subscribes(it)).map(|(index, _)| index).collect();
            if seen.is_empty() {
                continue;
            }
            let document = document.get_or_insert_with(|| call.document().into());
            let plugin = &generation.name;
            let judged = validator::judge(
                lane,
                plugin,
                document,
                call.now,
                &changes,
                seen,
                &trail,
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
        judgement.read = trail.take();
        Ok(judgement)
    }

    /// The symbology of this name.
    pub fn symbology(&self, name: &str) -> Result<Symbology, NotServing> {
        let not_serving = |reason| NotServing { plugin: name.to_owned(), reason };
        let generation = self.serving(name).map_err(not_serving)?;
        match &generation.exports {
            Exports::Symbology { symbols, listings } => {
                Ok(Symbology { symbols: Arc::clone(symbols), listings: Arc::clone(listings) })
            }
            Exports::Validator(_) | Exports::Transform(_) => Err(not_serving(is_a(generation))),
        }
    }

    /// The transform of this name.
    pub(crate) fn transform(&self, name: &str) -> Result<(&Arc<Lane<transform::Guest>>, &Generation), String> {
        let generation = self.serving(name)?;
        match &generation.exports {
            Exports::Transform(lane) => Ok((lane, generation)),
            Exports::Validator(_) | Exports::Symbology { .. } => Err(is_a(generation)),
        }
    }

    /// How every plugin stands, in the order of their names.
    pub(crate) fn statuses(&self) -> Vec<PluginStatus> {
        let status = |plugin: &Plugin| {
            let (calls, failed_calls, last_failure) = plugin.stats.figures();
            PluginStatus { calls, failed_calls, last_failure, ..plugin.status.clone() }
        };
        self.plugins.by_name.values().map(status).collect()
    }

    fn serving(&self, name: &str) -> Result<&Generation, String> {
        let plugin = self.plugins.by_name.get(name).ok_or("there is no file of that name in the plugin directory")?;
        plugin.serving.as_deref().ok_or_else(|| plugin.reason())
    }

    /// Refuses changes that a plugin would have to see that does not serve: a required one, which might want to see any
    /// change if it never served, or a validator that served before and is not deleted.
    fn require(&self, changes: &[Change]) -> Result<(), ValidateError> {
        let sees =
            |plugin: &Plugin, entity_type: EntityType| plugin.kept.as_ref().is_none_or(|kept| kept.judges(entity_type));
        for (name, plugin) in &self.plugins.by_name {
            let missing = plugin.serving.is_none() && (plugin.required || plugin.kept.is_some());
            if missing && changes.iter().any(|change| sees(plugin, change.entity_type)) {
                return Err(ValidateError::NotServing { plugin: name.clone(), reason: plugin.reason() });
            }
        }
        Ok(())
    }
}

impl Plugin {
    /// Why it does not serve, or not with the newest bytes.
    pub(crate) fn reason(&self) -> String {
        match (self.status.state(), self.status.reason.as_str()) {
            (State::Missing, _) => "there is no file of that name in the plugin directory".into(),
            (State::Pending, "") => "its file is being tried".into(),
            (_, reason) => reason.to_owned(),
        }
    }
}

fn is_a(generation: &Generation) -> String {
    format!("it is a {}", generation.manifest.kind.name())
}
