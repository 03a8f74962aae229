//! A plugin as requests and operators see it.

use std::{sync::Arc, time::Duration};

use cqar_domain::id::EntityType;
use cqar_proto::v1::{PluginLimits, plugin::State};

use super::{Attempt, DisabledBy, Entry, Observed, Reading, Serving};
use crate::{
    config::Limits,
    gate::{Described, Fault, manifest::REGISTRY_GRANT},
    generation::Generation,
    table::{Plugin, PluginStatus, Writes},
};

impl Entry {
    /// Which writes it might have to judge, while nothing serves: what it judged when it served before, anything if it is required and
    /// never said what it is, and what is not settled.
    fn missing_for(&self, required: bool) -> Option<Writes> {
        if self.serving.is_some() {
            return None;
        }
        let of_record = match &self.record.current {
            Some(record) if self.disabled.is_none() => Some(Writes::Of(record.judges())),
            _ if required => Some(self.says_it_judges().map_or(Writes::OfAllTypes, |it| Writes::Of(it.judges.clone()))),
            _ => None,
        };
        let together = match (of_record, self.unsettled()) {
            (Some(Writes::Of(some)), Some(Writes::Of(others))) => Some(Writes::Of([some, others].concat())),
            (Some(Writes::OfAllTypes), _) | (_, Some(Writes::OfAllTypes)) => Some(Writes::OfAllTypes),
            (of_record, unsettled) => of_record.or(unsettled),
        };
        together.filter(|writes| *writes != Writes::Of(Vec::new()))
    }

    /// What it said that it is, and what was said before of a rule that something new is to take the place of.
    fn says_it_judges(&self) -> Option<&Described> {
        let of_attempt = self.trying.as_ref().and_then(|it| it.described.as_ref());
        let refused = self.refused.as_ref();
        let is_the_same = self.waiting.is_none()
            && self
                .trying
                .as_ref()
                .is_none_or(|it| refused.is_some_and(|refused| refused.contents == Some(it.contents)));
        let of_refused = refused.and_then(|it| it.described.as_ref());
        of_attempt.or_else(|| of_refused.filter(|it| is_the_same || !it.judges.is_empty()))
    }

    /// What may be missing because it is not settled that nothing should serve. Writes that it might judge wait then.
    fn unsettled(&self) -> Option<Writes> {
        let is_unreadable = self.observed.as_ref().is_some_and(|it| matches!(it.reading, Reading::Unreadable(_)));
        let may_pass = self.refused.as_ref().is_some_and(|it| it.fault == Fault::Machine);
        if self.disabled.is_some() || !(self.is_pending() || may_pass || is_unreadable) {
            return None;
        }
        // A bad file that is tried once more is one until it is none.
        let is_bad = |attempt: &Attempt| {
            self.refused.as_ref().is_some_and(|it| it.fault == Fault::File && it.contents == Some(attempt.contents))
        };
        if self.trying.as_ref().is_some_and(is_bad) {
            return None;
        }
        match (self.says_it_judges(), &self.record.current) {
            (Some(described), _) => Some(Writes::Of(described.judges.clone())),
            // What it judged is on record.
            (None, Some(_)) => None,
            (None, None) => self.is_unknown_since_start.then_some(Writes::OfAllTypes),
        }
    }

    /// The plugin as requests see it.
    pub(crate) fn publish(&self, name: &str, required: bool) -> Plugin {
        Plugin {
            serving: self.serving.as_ref().map(|it| Arc::clone(&it.generation)),
            previous: self.previous.clone(),
            required,
            missing_for: self.missing_for(required),
            is_pending: self.is_pending(),
            status: self.status(name, required),
            shared: self.shared.clone(),
        }
    }

    fn status(&self, name: &str, required: bool) -> PluginStatus {
        let (state, reason) = self.state(name);
        let mut status = PluginStatus { name: name.to_owned(), reason, required, ..Default::default() };
        status.set_state(state);
        if let Some(hash) = self.refused.as_ref().filter(|it| it.contents.is_some()).and_then(|it| it.hash) {
            status.rejected_hash = hash.to_string();
        }
        if let Some(observed) = &self.observed {
            status.file = observed.files.path.display().to_string();
        }
        if let Some(Serving { generation, since }) = &self.serving {
            let manifest = &generation.manifest;
            manifest.kind.name().clone_into(&mut status.kind);
            status.version.clone_from(&manifest.version);
            status.generation = self.activations;
            status.hash = generation.hash.to_string();
            status.activate_time = Some((*since).into());
            status.subscriptions = names(&manifest.subscriptions);
            status.grants = manifest.looks_up.then(|| REGISTRY_GRANT.to_owned()).into_iter().collect();
            status.inert_imports.clone_from(&generation.inert_imports);
            status.segments = generation.manifest.segments.iter().map(ToString::to_string).collect();
            status.sources.clone_from(&generation.manifest.sources);
            status.unknown_fields.clone_from(&generation.manifest.unknown_fields);
            status.limits = Some(limits(&generation.limits));
            status.replay.clone_from(&generation.replay);
        }
        if let Some(replay) = self.refused.as_ref().and_then(|it| it.replay.as_deref()) {
            status.replay = Some(replay.clone());
        }
        status.history = self.history.iter().cloned().collect();
        status.quarantined_hashes = self.record.quarantined.iter().map(|it| it.hash.to_string()).collect();
        if let Some(previous) = &self.record.previous {
            status.previous_hash = previous.hash.to_string();
        }
        status
    }

    fn state(&self, name: &str) -> (State, String) {
        let fallback = if self.serving.is_some() { State::ServingLastGood } else { State::Rejected };
        match self.disabled {
            Some(DisabledBy::File) => return (State::Disabled, format!("{name}.toml says `enabled = false`")),
            Some(DisabledBy::Operator) => return (State::Disabled, "an operator disabled it".into()),
            None => {}
        }
        if self.is_pending() {
            return (State::Pending, self.refused.as_ref().map(|it| it.reason.clone()).unwrap_or_default());
        }
        if let Some(Observed { reading: Reading::Unreadable(why), .. }) = &self.observed {
            return (fallback, format!("read: {why}"));
        }
        match (&self.refused, &self.observed, &self.serving) {
            (Some(refused), _, _) => (fallback, refused.reason.clone()),
            (None, Some(_), Some(serving)) => (State::Serving, failing(&serving.generation)),
            (None, None, Some(_)) => (State::ServingLastGood, "its file is gone".into()),
            (None, _, None) => (State::Missing, String::new()),
        }
    }
}

/// What is said of a generation that fails and cannot be rolled back.
fn failing(generation: &Generation) -> String {
    let failing = generation.monitor.failing();
    failing.map(|why| format!("failing, and no generation before it does better: {why}")).unwrap_or_default()
}

fn limits(limits: &Limits) -> PluginLimits {
    let duration = |limit: Duration| Some(cqar_proto::well_known::Duration::from(limit));
    let bytes = |limit: usize| i64::try_from(limit).unwrap_or(i64::MAX);
    let number = |limit: usize| i32::try_from(limit).unwrap_or(i32::MAX);
    PluginLimits {
        deadline: duration(limits.call.guest),
        call_timeout: duration(limits.call.total),
        memory_bytes: bytes(limits.memory_bytes),
        output_bytes: bytes(limits.output_bytes),
        concurrency: number(limits.concurrency),
        lookup_keys: number(limits.lookup_keys),
    }
}

fn names(types: &[EntityType]) -> Vec<String> {
    types.iter().map(ToString::to_string).collect()
}
