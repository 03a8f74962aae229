//! What operators do with plugins, and what the watcher does by itself with those that fail.

use std::{path::Path, sync::Arc};

use cqar_proto::v1::plugin_event::Type;

use super::Watcher;
use crate::{
    directory::{
        entry::{DisabledBy, Entry},
        operations::{Command, OperateError, Operation},
        scan,
    },
    generation_store::{GenerationStore, Quarantined},
    hash::Hash,
};

impl Watcher {
    /// Does what an operator asks for.
    pub(super) async fn command(&mut self, command: Command) {
        let Command { name, operation, reply } = command;
        let done = if self.entries.contains_key(&name) {
            self.operate(&name, operation).await
        } else {
            Err(OperateError::NotFound)
        };
        self.publish();
        // An error means that nobody waits any more.
        let _ = reply.send(done);
    }

    async fn operate(&mut self, name: &str, operation: Operation) -> Result<(), OperateError> {
        let is_required = self.required.contains(name);
        if is_required && matches!(operation, Operation::Disable | Operation::Remove) {
            let why = "the configuration requires it: take it out of plugins.required first";
            return Err(OperateError::Refused(why.into()));
        }
        let unwritten = |written: bool| if written { Ok(()) } else { Err(OperateError::NotRemembered) };
        match operation {
            Operation::Disable => {
                unwritten(self.store(name, |store, name| store.set_disabled(name, true)).await)?;
                self.entry(name).disable(DisabledBy::Operator);
                self.entry(name).settle_memory();
                self.happened(name, Type::Disabled, None, "an operator disabled it");
            }
            Operation::Enable => {
                if self.entry(name).disabled() == Some(DisabledBy::File) {
                    let why = format!("{name}.toml says `enabled = false`: change it there");
                    return Err(OperateError::Refused(why));
                }
                unwritten(self.store(name, |store, name| store.set_disabled(name, false)).await)?;
                if self.entry(name).disabled().is_some() {
                    let candidate = match self.entry(name).record.current.clone() {
                        Some(generation) => self.of_record(name, &generation).await.ok(),
                        None => None,
                    };
                    self.entry(name).enable(candidate);
                    self.events.notify_one();
                }
            }
            Operation::Remove => {
                if let Some(file) = self.entry(name).file().map(Path::to_path_buf) {
                    let removed = self.disk.run(move || scan::remove(&file)).await;
                    removed.map_err(|error| OperateError::Refused(format!("its files cannot be deleted: {error}")))?;
                }
                self.forget(name, "an operator removed it").await;
            }
            Operation::Reload => {
                if let Some(hash) = self.entry(name).refused_hash() {
                    let gate = Arc::clone(&self.gate);
                    let forget = move || {
                        gate.compiler.forget_refusal(&hash);
                        Ok(())
                    };
                    let forgotten = self.data_disk.run(forget).await;
                    forgotten
                        .map_err(|error| OperateError::Refused(format!("its refusal cannot be deleted: {error}")))?;
                }
                self.entry(name).reload();
                self.events.notify_one();
            }
            Operation::Lift => {
                unwritten(self.store(name, GenerationStore::lift).await)?;
                self.happened(name, Type::Lifted, None, "an operator lifted its quarantine");
                self.entry(name).reload();
                self.events.notify_one();
            }
        }
        Ok(())
    }

    /// Has all tried anew of which the server's configuration says something else now. What does not pass changes nothing.
    pub(super) fn reconfigure(&mut self) {
        let configured = self.gate.configured.load_full();
        let before = std::mem::replace(&mut self.configured, Arc::clone(&configured));
        for (name, entry) in &mut self.entries {
            if !before.says_the_same(&configured, name) {
                entry.reload();
            }
        }
        self.events.notify_one();
    }

    /// Takes back generations that fail, where there is one before.
    pub(super) async fn roll_back_failing(&mut self) {
        let failing = |(name, entry): (&String, &Entry)| {
            let serving = entry.serving()?;
            let reason = serving.monitor.failing()?;
            let is_quarantined = entry.record.quarantined.iter().any(|it| it.contents == serving.contents);
            (entry.has_previous() && !is_quarantined).then(|| (name.clone(), Arc::clone(serving), reason))
        };
        for (name, generation, reason) in self.entries.iter().filter_map(failing).collect::<Vec<_>>() {
            let (hash, version) = (generation.hash, generation.manifest.version.clone());
            let now = self.gate.clock.now();
            let previous = self.entry(&name).record.previous.clone();
            let said = format!("rolled back at {now}: {reason}");
            let failed = Quarantined { hash, contents: generation.contents, reason: said.clone() };
            // First what helps: the disk may take its time.
            let is_back = self.entry(&name).roll_back(said.clone(), now);
            self.entry(&name).settle_memory();
            self.publish();
            self.store(&name, move |store, name| store.quarantine(name, failed)).await;
            let lift = format!("not tried again before another file, or `cqar plugin lift {name}`");
            self.happened(&name, Type::Quarantined, Some((hash, &version)), &lift);
            if is_back {
                self.rolled_back(&name, hash, &version, &said);
            } else if let Some(previous) = previous {
                // It was not loaded since the start.
                match self.of_record(&name, &previous).await {
                    Ok(candidate) => self.entry(&name).load_record(candidate),
                    Err(error) => tracing::error!(plugin = name, %error, "the generation before cannot be loaded"),
                }
            }
        }
    }

    /// The generation before serves again.
    pub(super) fn rolled_back(&mut self, name: &str, hash: Hash, version: &str, why: &str) {
        let activations = self.entry(name).activations();
        self.metrics.rollbacks.with_label_values(&[name]).inc();
        self.metrics.generation.with_label_values(&[name]).set(activations);
        self.happened(name, Type::RolledBack, Some((hash, version)), why);
    }
}
