//! All plugins as they serve at one instant: what one request works with.

use std::sync::Arc;

use cqar_domain::finding::{Finding, Severity};
use tokio::time::{Instant, timeout_at};

use crate::{
    context::CallContext,
    error::CallError,
    generation::Generation,
    kinds::{
        symbology::{NotServing, Symbology},
        transform::Transformer,
        validator::{self, Change, Judgement, Question, ValidateError, Validator},
    },
    plugin_config::{FailurePolicy, Mode},
    runtime::{chunk::OutputBudget, log_rate::Admitted, lookups::SharedReadSet},
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

    /// Has the validators judge changes, in their operators' order and then that of their names. Each sees only what it subscribes to,
    /// at most 256 changes at a time; all their look-ups see one state.
    pub async fn validate(&self, call: &CallContext, changes: Arc<[Change]>) -> Result<Judgement, ValidateError> {
        let set = self.settled(&changes).await?;
        let judges = |plugin: &&Plugin| {
            plugin
                .serving
                .as_ref()
                .is_some_and(|it| it.interfaces::<Validator>().is_some() && it.policy.mode != Mode::Off)
        };
        let mut validators: Vec<&Plugin> = set.plugins.by_name.values().filter(judges).collect();
        validators.sort_by_key(|plugin| plugin.serving.as_ref().map(|it| it.policy.order));
        let (mut judgement, read_set, mut budget) =
            (Judgement::default(), SharedReadSet::default(), OutputBudget::new());
        let mut document: Option<Arc<str>> = None;
        for plugin in validators {
            let Some(generation) = &plugin.serving else { continue };
            let subscribes = |change: &Change| generation.manifest.subscribes(change.entity_type);
            let seen: Arc<[usize]> =
                changes.iter().enumerate().filter(|(_, it)| subscribes(it)).map(|(index, _)| index).collect();
            if seen.is_empty() {
                continue;
            }
            let call_document = document.get_or_insert_with(|| call.document().into());
            let question =
                Question { call: call_document, now: call.now, changes: &changes, seen: &seen, read_set: &read_set };
            judge_by(plugin, generation, &question, &mut budget, &mut judgement).await?;
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
            if !set.plugins.is_listed {
                let reason = set.plugins.directory_failure.clone().unwrap_or_else(|| "it is being read".to_owned());
                return Err(ValidateError::NotServing { plugin: "plugins.dir".to_owned(), reason });
            }
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

/// Has one plugin judge, as its operator wants it.
async fn judge_by(
    plugin: &Plugin,
    generation: &Arc<Generation>,
    question: &Question<'_>,
    budget: &mut OutputBudget,
    judgement: &mut Judgement,
) -> Result<(), ValidateError> {
    let name = &generation.name;
    let judged = validator::judge(generation, question, budget).await;
    let mut judge = generation;
    let judged = match (judged, generation.policy.failure, &plugin.previous) {
        // The registry's trouble is nobody's choice.
        (Err(error), FailurePolicy::LastGood, Some(previous))
            if error.is_of_plugin(generation.manifest.looks_up) && question.is_for(previous) =>
        {
            judge = previous;
            // What the first says counts, if the other fails too.
            validator::judge(previous, question, budget).await.map_err(|_| error)
        }
        (judged, _, _) => judged,
    };
    let findings = match judged {
        Ok(findings) => findings,
        Err(CallError::Moved) => return Err(ValidateError::Moved),
        Err(error) if generation.policy.mode == Mode::Monitor => {
            tracing::info!(plugin = &**name, %error, "monitored_validator_failed");
            return Ok(());
        }
        Err(error)
            if generation.policy.failure == FailurePolicy::Open && error.is_of_plugin(generation.manifest.looks_up) =>
        {
            let unjudged = |index: &usize| (*index, unjudged(name, &error));
            judgement.findings.extend(question.seen.iter().map(unjudged));
            return Ok(());
        }
        Err(error) => return Err(ValidateError::Failed { plugin: name.to_string(), reason: error.to_string() }),
    };
    if generation.policy.mode == Mode::Monitor {
        for (_, finding) in &findings {
            if plugin.shared.logs.take(Instant::now()) == Admitted::No {
                break;
            }
            let Finding { path, code, message, .. } = finding;
            tracing::info!(plugin = &**name, path, code, message, "monitored_finding");
        }
        return Ok(());
    }
    judgement.findings.extend(findings);
    judgement.judged_by.push(format!("{name}@{}", judge.hash.short()));
    judgement.subscriptions.push(generation.manifest.subscriptions.clone());
    Ok(())
}

/// The mark of a change that passed without its judge.
fn unjudged(plugin: &str, error: &CallError) -> Finding {
    Finding {
        severity: Severity::Warning,
        path: String::new(),
        code: "NOT_JUDGED".to_owned(),
        message: format!("its validator failed, and its operator lets such writes pass: {error}"),
        plugin: plugin.to_owned(),
    }
}

fn is_a(generation: &Generation) -> String {
    format!("it is a {}", generation.manifest.kind.name())
}
