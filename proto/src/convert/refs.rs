//! Names for what one request creates, by which its later mutations refer to it.

use std::collections::HashMap;

use cqar_domain::{
    id::{EntityKey, EntityType},
    violation::{Violation, Violations},
};

/// The entities that mutations of one request create, by the names that they give them.
#[derive(Debug, Default)]
pub(super) struct NamedRefs(HashMap<String, EntityKey>);

impl NamedRefs {
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

    /// Replaces `$name` by the id of the entity of that type that it stands for. False, and noted, if it stands for none.
    pub(super) fn resolve(&self, field: &str, of: EntityType, id: &mut String, found: &mut Violations) -> bool {
        let Some(name) = id.strip_prefix('$') else { return true };
        match self.0.get(name) {
            Some(key) if key.entity_type() == of => {
                *id = key.id();
                return true;
            }
            Some(key) => {
                let message = format_args!("the ref {name:?} is of {}, and must be of {of}", key.entity_type());
                found.add(field, UNKNOWN_REF, message);
            }
            None => found.add(field, UNKNOWN_REF, format_args!("no mutation before this one has the ref {name:?}")),
        }
        false
    }
}

/// The code of a reference to a name that nothing has.
pub(super) const UNKNOWN_REF: &str = "UNKNOWN_REF";
