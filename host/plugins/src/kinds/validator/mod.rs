//! Validators: what they judge, and what they say of it.

mod case;

use std::{fmt, ops::Range, sync::Arc};

use cqar_domain::{
    finding::{Finding, Severity},
    id::EntityType,
    lookup::ReadSet,
    time::Timestamp,
};
use serde::Deserialize;
use serde_json::Value;
use wasmtime::{Store, component::Instance};

use super::{Interfaces, Kind, case::CaseInput};
use crate::{
    error::CallError,
    gate::{
        interface::{Answer, Exports},
        manifest::Manifest,
    },
    generation::{Generation, PoolSettings},
    runtime::{
        bindings::{cqar::plugin::types::Failure, exports::cqar::plugin::validator},
        chunk::{OutputBudget, chunks},
        instance_pool::{Call, InstancePool, Interface, Template},
        lookups::SharedReadSet,
        sandbox::{Sandbox, Scope},
    },
    text::{MAX_CODE_BYTES, MAX_MESSAGE_BYTES, MAX_PATH_BYTES, clean, cleaned},
};

/// What a write does to an entity. A delisting is an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the contract's own words")]
pub enum Operation {
    Create,
    Update,
    Delete,
    Undelete,
}

impl Operation {
    /// The name that plugins read.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Undelete => "undelete",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One change that is to be judged.
#[derive(Debug, Clone)]
pub struct Change {
    /// What is done.
    pub operation: Operation,
    /// To what type of entity.
    pub entity_type: EntityType,
    /// Its id.
    pub id: String,
    /// Its document before; none for a creation.
    pub before: Option<String>,
    /// Its document after; none for a deletion that leaves nothing.
    pub after: Option<String>,
}

/// What the validators said.
#[derive(Debug, Clone, Default)]
pub struct Judgement {
    /// The validators that saw at least one change, as `name@hash` with 16 digits of the hash.
    pub judged_by: Vec<String>,
    /// The index of the change, and what was found in it.
    pub findings: Vec<(usize, Finding)>,
    /// Every row that was looked up. The judgement stands as long as these are what they were.
    pub read: ReadSet,
    /// Who judges what, in the order of `judged_by`.
    pub(crate) subscriptions: Vec<Vec<EntityType>>,
}

impl Judgement {
    /// The validators that saw the changes of this entity type, as `name@hash`.
    pub fn judged_by(&self, entity_type: EntityType) -> Vec<String> {
        let judges = self.judged_by.iter().zip(&self.subscriptions);
        judges.filter(|(_, types)| types.contains(&entity_type)).map(|(judge, _)| judge.clone()).collect()
    }
}

/// Why changes could not be judged. They are not accepted then.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ValidateError {
    /// A plugin that would have to see the changes does not serve: a required one, or a validator that served before.
    #[error("the plugin {plugin} does not serve: {reason}")]
    NotServing {
        /// Which.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// A validator gave no answer.
    #[error("the plugin {plugin} {reason}")]
    Failed {
        /// Which.
        plugin: String,
        /// How its call ended.
        reason: String,
    },
    /// A row changed between two look-ups. Everything is to be read and judged again.
    #[error("what plugins looked up changed while they judged")]
    Moved,
}

/// More findings in one change than this are no answer: they would not fit into its event.
const MAX_FINDINGS: usize = 32;

/// What a validator is asked to judge, and what of it all share.
pub(crate) struct Question<'a> {
    pub(crate) call: &'a Arc<str>,
    pub(crate) now: Timestamp,
    pub(crate) changes: &'a Arc<[Change]>,
    /// The indices of the changes that the validator sees.
    pub(crate) seen: &'a Arc<[usize]>,
    pub(crate) read_set: &'a SharedReadSet,
}

impl Question<'_> {
    /// Whether a generation is one that judges all of this.
    pub(crate) fn is_for(&self, generation: &Generation) -> bool {
        let subscribes = |change: &Change| generation.manifest.subscribes(change.entity_type);
        generation.interfaces::<Validator>().is_some()
            && self.seen.iter().filter_map(|index| self.changes.get(*index)).all(subscribes)
    }
}

/// Has one validator judge. Findings carry the index within all changes.
pub(crate) async fn judge(
    generation: &Generation,
    question: &Question<'_>,
    budget: &mut OutputBudget,
) -> Result<Vec<(usize, Finding)>, CallError> {
    let Some(validator) = generation.interfaces::<Validator>() else { return Ok(Vec::new()) };
    let Question { call, now, changes, seen, read_set } = question;
    let bytes = |index: &usize| changes.get(*index).map_or(0, Change::bytes);
    let mut findings = Vec::new();
    for range in chunks(seen.iter().map(bytes), generation.manifest.looks_up) {
        let call = Validate {
            plugin: Arc::clone(&generation.name),
            call: Arc::clone(call),
            changes: Arc::clone(changes),
            seen: Arc::clone(seen),
            range,
        };
        let scope = Scope { read_set: (*read_set).clone(), ..Scope::at(*now) };
        let bytes = |found: &Vec<(usize, Finding)>| found.iter().map(|(_, finding)| finding_bytes(finding)).sum();
        let mut found = validator.pool.call_within(call, scope, budget, bytes).await?;
        findings.append(&mut found);
    }
    Ok(findings)
}

/// What a finding weighs.
fn finding_bytes(finding: &Finding) -> usize {
    let texts = [&finding.path, &finding.code, &finding.message, &finding.plugin];
    size_of::<Finding>() + texts.map(String::len).iter().sum::<usize>()
}

impl Change {
    fn bytes(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(String::len).sum()
    }
}

/// One call of `validate`.
#[derive(Clone)]
pub(crate) struct Validate {
    pub(crate) plugin: Arc<str>,
    pub(crate) call: Arc<str>,
    pub(crate) changes: Arc<[Change]>,
    /// The indices of the changes that the plugin sees at all.
    pub(crate) seen: Arc<[usize]>,
    /// Those of `seen` that this call is about.
    pub(crate) range: Range<usize>,
}

impl Validate {
    fn indices(&self) -> &[usize] {
        self.seen.get(self.range.clone()).unwrap_or_default()
    }
}

impl Call<validator::Guest> for Validate {
    const EXPORT: &'static str = "validate";
    type Raw = Vec<validator::Finding>;
    type Answer = Vec<(usize, Finding)>;

    async fn run<'a>(
        &'a self,
        guest: &'a validator::Guest,
        store: &'a mut Store<Sandbox>,
    ) -> wasmtime::Result<Result<Self::Raw, Failure>> {
        let changes: Vec<_> = self
            .indices()
            .iter()
            .filter_map(|&index| self.changes.get(index))
            .map(|change| validator::Change {
                operation: change.operation.name(),
                entity_type: change.entity_type.name(),
                id: &change.id,
                before: change.before.as_deref(),
                after: change.after.as_deref(),
            })
            .collect();
        guest.call_validate(store, &self.call, &changes).await
    }

    fn context(&self) -> &str {
        &self.call
    }

    fn input(&self) -> Value {
        self.indices().iter().filter_map(|&index| self.changes.get(index)).map(case::change).collect()
    }

    fn accept(self, raw: Self::Raw) -> Result<Self::Answer, String> {
        let indices = self.indices();
        let mut counts = vec![0; if raw.is_empty() { 0 } else { indices.len() }];
        let mut findings = Vec::with_capacity(raw.len());
        for finding in raw {
            let position = usize::try_from(finding.change).unwrap_or(usize::MAX);
            let (Some(&index), Some(count)) = (indices.get(position), counts.get_mut(position)) else {
                return Err(format!("a finding in change {position} of {}", indices.len()));
            };
            *count += 1;
            if *count > MAX_FINDINGS {
                return Err(format!("more than {MAX_FINDINGS} findings in one change"));
            }
            findings.push((index, self.read(finding)?));
        }
        Ok(findings)
    }
}

impl Validate {
    fn read(&self, finding: validator::Finding) -> Result<Finding, String> {
        Ok(Finding {
            severity: match finding.severity.as_str() {
                "error" => Severity::Error,
                "warning" => Severity::Warning,
                other => {
                    return Err(format!("the severity {:?}: it is error or warning", clean(other, MAX_CODE_BYTES)));
                }
            },
            path: cleaned(finding.path, MAX_PATH_BYTES),
            code: cleaned(finding.code, MAX_CODE_BYTES),
            message: cleaned(finding.message, MAX_MESSAGE_BYTES),
            plugin: self.plugin.to_string(),
        })
    }
}

/// The kind.
pub(crate) struct Validators;

impl Kind for Validators {
    fn name(&self) -> &'static str {
        "validator"
    }

    fn judges_writes(&self) -> bool {
        true
    }

    fn check(&self, exports: &Exports<'_>) -> Result<(), String> {
        type Findings = Answer<Vec<validator::Finding>>;
        exports.check::<(&str, &[validator::Change<'_>]), Findings>("validator", "validate")
    }

    fn interfaces(
        &self,
        template: &Arc<Template>,
        settings: &PoolSettings<'_>,
    ) -> wasmtime::Result<Arc<dyn Interfaces>> {
        let indices = validator::GuestIndices::new(&template.component)?;
        Ok(Arc::new(Validator { pool: settings.pool(template, indices, &["validate"]) }))
    }

    fn samples(&self, manifest: &Manifest) -> Vec<CaseInput> {
        case::samples(manifest)
    }
}

/// The interface of one generation.
pub(crate) struct Validator {
    pub(crate) pool: Arc<InstancePool<validator::Guest>>,
}

impl Interface for validator::Guest {
    type Indices = validator::GuestIndices;

    fn load(indices: &Self::Indices, store: &mut Store<Sandbox>, instance: &Instance) -> wasmtime::Result<Self> {
        indices.load(store, instance)
    }
}
