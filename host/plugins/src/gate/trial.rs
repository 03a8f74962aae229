//! What a candidate is asked before it serves: samples of every export, and the same again, as plugins keep nothing between calls.

use cqar_domain::time::Timestamp;
use serde_json::Value;

use super::{Fault, Rejection, at, manifest::Manifest};
use crate::{
    error::CallError,
    kinds::{Interfaces, KindRef, case::CaseInput},
    runtime::sandbox::Scope,
};

/// Asks every sample of the kind. What the plugin answers is its own business, that it answers is not.
pub(super) async fn run(
    interfaces: &dyn Interfaces,
    kind: KindRef,
    manifest: &Manifest,
    now: Timestamp,
) -> Result<(), Rejection> {
    let trial = Trial { interfaces, manifest, now };
    for sample in kind.0.samples(manifest) {
        trial.ask("sample", &sample).await?;
    }
    Ok(())
}

struct Trial<'a> {
    interfaces: &'a dyn Interfaces,
    manifest: &'a Manifest,
    now: Timestamp,
}

impl Trial<'_> {
    async fn ask(&self, step: &'static str, input: &CaseInput) -> Result<Value, Rejection> {
        let answer = self.interfaces.evaluate(input, Scope::trial(self.now)).await;
        answer.map_err(|error| {
            let reason = format!("{}: {error}; it was asked {}", input.export, input.input);
            Rejection { fault: self.fault(&error), is_retried: error.may_pass(), ..at(step)(reason) }
        })
    }

    /// A look-up may find the database away, and wait for it. All else is the plugin's own doing.
    fn fault(&self, error: &CallError) -> Fault {
        match error {
            CallError::Lookup(_) | CallError::Moved => Fault::Machine,
            CallError::Timeout { .. } if self.manifest.looks_up => Fault::Machine,
            _ => Fault::File,
        }
    }
}
