//! What a candidate is asked before it serves: samples of every export, the same again, as plugins keep nothing between calls, and the
//! cases that it ships with.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use cqar_domain::time::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};

use super::{Fault, Rejection, at, cases::Case, manifest::Manifest};
use crate::{
    error::CallError,
    kinds::{
        Interfaces, KindRef,
        case::{self, CaseInput},
    },
    runtime::sandbox::{Purpose, Scope},
    text::clean,
};

/// All samples and cases of one candidate.
const TIME: Duration = Duration::from_mins(1);

/// As much of a value as tells which it is.
fn short(value: &Value) -> String {
    clean(&value.to_string(), 500)
}

/// A candidate that can be called.
pub(super) struct Trial<'a> {
    pub(super) interfaces: &'a dyn Interfaces,
    pub(super) manifest: &'a Manifest,
    pub(super) now: Timestamp,
}

impl Trial<'_> {
    /// Asks everything.
    pub(super) async fn run(&self, kind: KindRef, cases: &[Case]) -> Result<(), Rejection> {
        let ends = Instant::now() + TIME;
        let all = async {
            let samples = kind.0.samples(self.manifest);
            self.samples(&samples).await?;
            for case in cases {
                self.case(case).await?;
            }
            Ok(())
        };
        match timeout_at(ends, all).await {
            Ok(asked) => asked,
            Err(_) => Err(at("cases")(format!("all samples and cases took longer than {} s", TIME.as_secs()))),
        }
    }

    /// Asks every sample. What the plugin answers is its own business; that it answers, and the same each time, is not.
    async fn samples(&self, samples: &[CaseInput]) -> Result<(), Rejection> {
        let mut first: BTreeMap<&str, (&CaseInput, Value)> = BTreeMap::new();
        let mut several: BTreeMap<&str, &CaseInput> = BTreeMap::new();
        for sample in samples {
            let answer = self.ask("sample", sample).await?;
            if first.contains_key(sample.export.as_str()) {
                several.insert(&sample.export, sample);
            } else {
                first.insert(&sample.export, (sample, answer));
            }
        }
        // Some other call came between, on the same instance.
        for (sample, before) in first.values() {
            if let Some(other) = several.get(sample.export.as_str()) {
                self.ask("state", other).await?;
            }
            let again = self.ask("state", sample).await?;
            self.same(sample, before, &again, "asked again after another call")?;
        }
        self.interfaces.evict_idle();
        for (sample, before) in first.values() {
            let fresh = self.ask("state", sample).await?;
            self.same(sample, before, &fresh, "asked on a fresh instance")?;
        }
        Ok(())
    }

    fn same(&self, sample: &CaseInput, before: &Value, after: &Value, when: &str) -> Result<(), Rejection> {
        if case::is_same(&sample.export, before, after) {
            return Ok(());
        }
        let (export, input) = (&sample.export, &sample.input);
        // What it looks up may have changed in between.
        let fault = if self.manifest.looks_up { Fault::Machine } else { Fault::File };
        let rejection = at("state")(format!(
            "{export}: a plugin keeps nothing between calls, and this one answers otherwise when it is {when}: it was asked \
             {}, answered {}, and then {}",
            short(input),
            short(before),
            short(after)
        ));
        Err(Rejection { fault, is_retried: self.manifest.looks_up, ..rejection })
    }

    async fn case(&self, case: &Case) -> Result<(), Rejection> {
        let input = case.input();
        let output = self
            .ask("cases", &input)
            .await
            .map_err(|rejection| Rejection { reason: format!("{}: {}", case.name, rejection.reason), ..rejection })?;
        if case::is_same(&input.export, &case.output, &output) {
            return Ok(());
        }
        let (name, export, expected) = (&case.name, &input.export, &case.output);
        Err(at("cases")(format!("{name}: {export}: expected {}, answered {}", short(expected), short(&output))))
    }

    async fn ask(&self, step: &'static str, input: &CaseInput) -> Result<Value, Rejection> {
        let now = input.now().unwrap_or(self.now);
        let mut scope = Scope::trial(now);
        if !input.lookups.is_empty() {
            scope.purpose = Purpose::Replay(Arc::from(input.lookups.as_slice()));
        }
        let answer = self.interfaces.evaluate(input, scope).await;
        answer.map_err(|error| {
            let reason = format!("{}: {error}; it was asked {}", input.export, short(&input.input));
            Rejection { fault: self.fault(&error), is_retried: error.may_pass(), ..at(step)(reason) }
        })
    }

    /// A look-up may find the database away, and wait for it. All else is the plugin's own doing.
    fn fault(&self, error: &CallError) -> Fault {
        match error {
            CallError::Lookup(_) | CallError::Moved | CallError::MemoryBudget => Fault::Machine,
            error if error.is_of_plugin(self.manifest.looks_up) => Fault::File,
            CallError::Timeout { .. } => Fault::Machine,
            _ => Fault::File,
        }
    }
}
