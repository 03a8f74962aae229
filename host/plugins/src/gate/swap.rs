//! What a new generation may not do without its operator's word: become another kind, drop a subscription, take more than it is granted.

use cqar_domain::id::EntityType;
use cqar_proto::v1::ReplayReport;

use super::manifest::{Manifest, REGISTRY_GRANT};
use crate::{
    generation_store::GenerationRecord,
    hash::Hash,
    kinds::KindRef,
    plugin_config::{FailurePolicy, Mode, PluginConfig},
};

/// Refuses what is said of validators alone, and would be ignored.
pub(super) fn allowed(kind: KindRef, config: &PluginConfig) -> Result<(), String> {
    if kind.0.judges_writes() {
        return Ok(());
    }
    let name = kind.name();
    if config.mode != Mode::Enforce {
        return Err(format!(
            "mode: is of validators, and this is a {name}; write `enabled = false` to take it out of service"
        ));
    }
    if config.order != 0 {
        return Err(format!("order: is of validators, and this is a {name}"));
    }
    if config.failure != FailurePolicy::Closed {
        return Err(format!("failure: is of validators, and this is a {name}"));
    }
    Ok(())
}

/// Leaves the subscriptions that the operator wants; the error names one that the plugin has not.
pub(super) fn narrow(manifest: &mut Manifest, config: &PluginConfig) -> Result<(), String> {
    let Some(wanted) = &config.subscriptions else { return Ok(()) };
    if let Some(unknown) = wanted.iter().find(|it| !manifest.subscribes(**it)) {
        let has = names(manifest.subscriptions.iter());
        return Err(format!("subscriptions: the plugin does not subscribe to {unknown}, but to {has}"));
    }
    if wanted.is_empty() && manifest.kind.0.judges_writes() {
        return Err("subscriptions: none is left; write `enabled = false` to take the plugin out of service".into());
    }
    manifest.subscriptions.clone_from(wanted);
    Ok(())
}

/// Refuses a plugin that wants more than its operator granted.
pub(super) fn granted(manifest: &Manifest, granted: Option<&Vec<String>>, name: &str) -> Result<(), String> {
    let is_granted = granted.is_some_and(|granted| granted.iter().any(|it| it == REGISTRY_GRANT));
    if !manifest.looks_up || is_granted {
        return Ok(());
    }
    Err(format!(
        "it wants to look up entities of the registry, which is not granted; to grant it, write into {name}.toml: \
         grants = [\"{REGISTRY_GRANT}\"]"
    ))
}

/// Refuses what would take a rule away.
pub(super) fn compare(before: &GenerationRecord, manifest: &Manifest, name: &str, hash: &Hash) -> Result<(), String> {
    let digits = &hash.to_string()[..16];
    let allowed = format!("to allow it, write into {name}.toml: force = \"{digits}\"");
    let (was, is) = (before.kind().name(), manifest.kind.name());
    if was != is {
        return Err(format!("it is a {is}, and what serves is a {was}; {allowed}"));
    }
    let dropped = EntityType::ALL.into_iter().filter(|it| before.subscribes(*it) && !manifest.subscribes(*it));
    let dropped: Vec<EntityType> = dropped.collect();
    if dropped.is_empty() {
        return Ok(());
    }
    Err(format!("it no longer subscribes to {}; {allowed}", names(dropped.iter())))
}

/// Refuses what answers otherwise, and what could not be compared.
pub(super) fn unchanged(report: &ReplayReport) -> Result<(), String> {
    const POLICY: &str = "replay = \"refuse-changes\"";
    if report.changed > 0 {
        let first = report.changes.first();
        let first = first.map(|it| format!("{}: {}: before {}, now {}", it.export, it.input, it.before, it.after));
        return Err(format!(
            "{} of {} recorded calls are answered otherwise ({POLICY}); the first: {}",
            report.changed,
            report.calls,
            first.unwrap_or_default()
        ));
    }
    if report.same == 0 {
        return Err(format!(
            "none of {} recorded calls could be compared, and {POLICY} wants one at least: write replay = \"report\" for this swap",
            report.calls
        ));
    }
    Ok(())
}

fn names<'a>(types: impl Iterator<Item = &'a EntityType>) -> String {
    types.map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
