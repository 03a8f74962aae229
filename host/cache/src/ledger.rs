//! What L1 must remember to keep the invariant: which answers depend on what, and what changed lately.
//!
//! Tags are kept as hashes: two that collide cost an answer that is dropped or not kept without need, nothing worse.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use cqar_domain::entity::Revision;

use crate::key::Key;

/// The hash of a [`Key`].
pub(crate) type Tag = u64;
/// Names one answer. A key whose answer is loaded anew has another one.
pub(crate) type AnswerId = u64;

/// How many changes are remembered (2 MiB at most). Forgetting costs no more than not keeping what is being loaded.
const MAX_CHANGES: usize = 64 * 1024;

/// The memory of an L1, to be used under its lock.
pub(crate) struct Ledger<K> {
    hasher: RandomState,
    applied: Revision,
    /// Changes up to and with this revision may have been forgotten.
    floor: Revision,
    changes: HashMap<Tag, Revision>,
    answers: HashMap<AnswerId, Answer<K>>,
    by_tag: BTreeSet<(Tag, AnswerId)>,
    next_id: AnswerId,
}

struct Answer<K> {
    key: K,
    tags: Arc<[Tag]>,
    revision: Revision,
}

impl<K> Default for Ledger<K> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            applied: 0,
            floor: 0,
            changes: HashMap::new(),
            answers: HashMap::new(),
            by_tag: BTreeSet::new(),
            next_id: 0,
        }
    }
}

impl<K> Ledger<K> {
    /// The revision through which changes were applied.
    pub(crate) fn applied(&self) -> Revision {
        self.applied
    }

    /// The hashes of the keys, each once.
    pub(crate) fn tags(&self, keys: &[Key]) -> Arc<[Tag]> {
        let mut tags: Vec<Tag> = keys.iter().map(|key| self.hasher.hash_one(key)).collect();
        tags.sort_unstable();
        tags.dedup();
        tags.into()
    }

    /// Whether what was read at `revision` and depends on these tags still holds: no later change of any was applied,
    /// as far as is remembered, and nothing that matters was forgotten.
    pub(crate) fn holds(&self, tags: &[Tag], revision: Revision) -> bool {
        revision >= self.floor
            && tags.iter().all(|tag| self.changes.get(tag).is_none_or(|changed| *changed <= revision))
    }

    /// Takes an answer in, which must hold.
    pub(crate) fn add(&mut self, key: K, tags: Arc<[Tag]>, revision: Revision) -> AnswerId {
        let id = self.next_id;
        self.next_id += 1;
        self.by_tag.extend(tags.iter().map(|tag| (*tag, id)));
        self.answers.insert(id, Answer { key, tags, revision });
        id
    }

    /// Forgets an answer, if it is known, and returns its key.
    pub(crate) fn remove(&mut self, id: AnswerId) -> Option<K> {
        let answer = self.answers.remove(&id)?;
        for tag in answer.tags.iter() {
            self.by_tag.remove(&(*tag, id));
        }
        Some(answer.key)
    }

    /// Applies a change, and removes the answers that it alters: those that depend on the tag and were read before it.
    pub(crate) fn change(&mut self, tag: Tag, revision: Revision, removed: &mut Vec<K>) {
        let changed = self.changes.entry(tag).or_insert(revision);
        *changed = revision.max(*changed);
        let dependent = self.by_tag.range((tag, AnswerId::MIN)..=(tag, AnswerId::MAX)).map(|(_, id)| *id);
        let older = |id: &AnswerId| self.answers.get(id).is_some_and(|answer| answer.revision < revision);
        for id in dependent.filter(older).collect::<Vec<_>>() {
            removed.extend(self.remove(id));
        }
    }

    /// All changes through this revision have been applied.
    pub(crate) fn advance(&mut self, through: Revision) {
        self.applied = through.max(self.applied);
        if self.changes.len() > MAX_CHANGES {
            self.forget_changes();
        }
    }

    /// What changed through this revision is unknown: everything older is removed.
    pub(crate) fn advance_blindly(&mut self, through: Revision, removed: &mut Vec<K>) {
        self.applied = through.max(self.applied);
        self.forget_changes();
        let floor = self.floor;
        let older: Vec<_> = self.answers.iter().filter(|(_, it)| it.revision < floor).map(|(id, _)| *id).collect();
        for id in older {
            removed.extend(self.remove(id));
        }
    }

    fn forget_changes(&mut self) {
        self.changes.clear();
        self.floor = self.applied;
    }

    /// How many answers, and how many of their tags, are indexed.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.answers.len(), self.by_tag.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_forgotten_change_does_not_hold() {
        let mut ledger = Ledger::<&str>::default();
        let mut removed = Vec::new();
        for tag in 0..=MAX_CHANGES as Tag {
            ledger.change(tag, 7, &mut removed);
        }
        assert!(!ledger.holds(&[3], 6) && ledger.holds(&[MAX_CHANGES as Tag + 1], 6), "remembered");
        ledger.advance(7);
        assert!(ledger.changes.is_empty());
        assert!(!ledger.holds(&[3], 6));
        assert!(ledger.holds(&[3], 7));
    }

    #[test]
    fn what_was_read_after_a_change_outlives_its_application() {
        let mut ledger = Ledger::default();
        let mut removed = Vec::new();
        ledger.add("read at 6", [1].into(), 6);
        ledger.add("read at 7", [1].into(), 7);
        ledger.change(1, 7, &mut removed);
        assert_eq!(removed, ["read at 6"]);
        assert_eq!(ledger.size(), (1, 1));
    }
}
