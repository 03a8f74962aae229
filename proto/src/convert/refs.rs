//! Names for what one request creates, by which its later mutations refer to it.

use std::collections::HashMap;

use cqar_domain::{
    id::EntityKey,
    violation::{Violation, Violations},
};

/// The entities that mutations of one request create, by the names that they give them.
#[derive(Debug, Default)]
pub struct Refs(HashMap<String, EntityKey>);

impl Refs {
    /// Names an entity.
    pub(super) fn insert(&mut self, name: String, key: EntityKey) -> Result<(), Vec<Violation>> {
        let mut found = Violations::default();
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if name.len() > 64 || !name.chars().all(is_name) {
            found.add("ref", "INVALID", "must be 1 to 64 letters, digits, `_`, `-` and `.`");
        } else if self.0.insert(name, key).is_some() {
            found.add("ref", "DUPLICATE", "another mutation before this one has the same ref");
        }
        found.into_result()
    }

    /// Replaces `$name` by the id that it stands for. False, and noted, if it stands for none.
    pub(super) fn resolve(&self, field: &str, id: &mut String, found: &mut Violations) -> bool {
        let Some(name) = id.strip_prefix('$') else { return true };
        match self.0.get(name) {
            Some(key) => *id = key.id(),
            None => {
                found.add(field, UNKNOWN_REF, format_args!("no mutation before this one has the ref {name:?}"));
                return false;
            }
        }
        true
    }
}

/// The code of a reference to a name that nothing has.
pub(super) const UNKNOWN_REF: &str = "UNKNOWN_REF";
