//! Validators: rules on changes. An error refuses the write, a warning goes with it.
//!
//! ```
//! use cqar_plugin_validator::{plugin::*, *};
//!
//! /// Wants a name for every asset.
//! pub struct Named;
//!
//! impl Plugin for Named {
//!     type Settings = NoSettings;
//!
//!     fn manifest() -> Manifest {
//!         Manifest {
//!             name: "named",
//!             version: env!("CARGO_PKG_VERSION"),
//!             description: "Every asset has a name.",
//!             subscriptions: &[EntityType::Asset],
//!             ..Manifest::default()
//!         }
//!     }
//!
//!     fn configure(_: NoSettings) -> Result<Self, Vec<Problem>> {
//!         Ok(Self)
//!     }
//! }
//!
//! impl Validator for Named {
//!     fn validate(&self, _: &Call, change: &Change) -> Result<Vec<Finding>, Failure> {
//!         let named = change.after.as_deref().is_none_or(|asset| asset.contains("\"name\""));
//!         Ok(if named { vec![] } else { vec![Finding::error("name", "REQUIRED", "must be given")] })
//!     }
//! }
//!
//! cqar_plugin_validator::export!(Named);
//! ```

pub mod bindings;

use std::marker::PhantomData;

pub use cqar_plugin_sdk::{call::Call, decimal, document, log, plugin, registry};
use plugin::{Failure, Plugin, Problem, Slot};

use crate::bindings::exports::cqar::plugin::{lifecycle, validator};
pub use bindings::exports::cqar::plugin::validator::Change;

/// A plugin that judges changes of the entities that it subscribes to.
pub trait Validator: Plugin {
    /// What it finds in one change; nothing means accepted. A failure is no judgement: the write is then refused, or
    /// passed, by the operator's policy.
    fn validate(&self, call: &Call, change: &Change) -> Result<Vec<Finding>, Failure>;
}

/// How grave a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// It refuses the write.
    Error,
    /// It goes with the write.
    Warning,
}

impl Severity {
    /// The name on the interface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What is wrong, or odd, with a field of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How grave it is.
    pub severity: Severity,
    /// The field, as a path within the entity.
    pub path: String,
    /// A stable code in `UPPER_SNAKE`.
    pub code: String,
    /// An explanation for people: what is allowed, and what was given.
    pub message: String,
}

impl Finding {
    /// A finding that refuses the write.
    pub fn error(path: &str, code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Error, path: path.to_owned(), code: code.to_owned(), message: message.into() }
    }

    /// A finding that goes with the write.
    pub fn warning(path: &str, code: &str, message: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, code, message) }
    }
}

/// Exports a [`Validator`] as a component.
#[macro_export]
macro_rules! export {
    ($plugin:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            $crate::sdk::slot!($plugin);
            type Component = $crate::Component<$plugin>;
    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}

#[doc(hidden)]
pub use cqar_plugin_sdk as sdk;

/// A plugin as the world's exports.
#[doc(hidden)]
pub struct Component<P>(PhantomData<P>);

impl<P: Validator + Slot> lifecycle::Guest for Component<P> {
    fn describe() -> String {
        plugin::describe::<P>("validator")
    }

    fn configure(settings: String) -> Result<(), Vec<Problem>> {
        plugin::configure::<P>(&settings)
    }
}

impl<P: Validator + Slot> validator::Guest for Component<P> {
    fn validate(call: String, changes: Vec<Change>) -> Result<Vec<validator::Finding>, Failure> {
        let call = document::read(&call)?;
        plugin::with(|plugin: &P| {
            let mut findings = Vec::new();
            for (index, change) in (0..).zip(&changes) {
                findings.extend(plugin.validate(&call, change)?.into_iter().map(|found| validator::Finding {
                    change: index,
                    severity: found.severity.name().to_owned(),
                    path: found.path,
                    code: found.code,
                    message: found.message,
                }));
            }
            Ok(findings)
        })
    }
}
