//! What L1 must remember to keep the invariant: which answers depend on what, and what changed lately.
//!
//! Keys are kept as hashes: two that collide cost an answer that is dropped or not kept without need, nothing worse.

use std::{
    collections::{BTreeSet, HashMap, hash_map::RandomState},
    hash::BuildHasher,
    sync::Arc,
};

use cqar_domain::entity::Revision;

use crate::key::Key;

/// The hash of a [`Key`].
pub(crate) type KeyHash = u64;
/// Names one answer. A key whose answer is loaded anew has another one.
pub(crate) type EntryId = u64;

/// How many changes are remembered (2 MiB at most). Forgetting costs no more than not keeping what is being loaded.
const MAX_CHANGES: usize = 64 * 1024;

/// The memory of an L1, to be used under its lock.
pub(crate) struct DependencyIndex<K> {
    hasher: RandomState,
    applied: Revision,
    /// Changes up to and with this revision may have been forgotten.
    floor: Revision,
    changes: HashMap<KeyHash, Revision>,
    answers: HashMap<EntryId, IndexEntry<K>>,
    by_hash: BTreeSet<(KeyHash, EntryId)>,
    next_id: EntryId,
}

struct IndexEntry<K> {
    key: K,
    hashes: Arc<[KeyHash]>,
    revision: Revision,
}

impl<K> Default for DependencyIndex<K> {
    fn default() -> Self {
        Self {
            hasher: RandomState::new(),
            applied: 0,
            floor: 0,
            changes: HashMap::new(),
            answers: HashMap::new(),
            by_hash: BTreeSet::new(),
            next_id: 0,
        }
    }
}

impl<K> DependencyIndex<K> {
    /// The revision through which changes were applied.
    pub(crate) fn applied(&self) -> Revision {
        self.applied
    }

    /// The hash of a key.
    pub(crate) fn hash(&self, key: &Key) -> KeyHash {
        self.hasher.hash_one(key)
    }

    /// The hashes of the keys, each once.
    pub(crate) fn hashes(&self, keys: &[Key]) -> Arc<[KeyHash]> {
        let mut hashes: Vec<KeyHash> = keys.iter().map(|key| self.hash(key)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes.into()
    }

    /// Whether what was read at `revision` and depends on these hashes still holds: no later change of any was applied,
    /// as far as is remembered, and nothing that matters was forgotten.
    pub(crate) fn is_current(&self, hashes: &[KeyHash], revision: Revision) -> bool {
        revision >= self.floor
            && hashes.iter().all(|hash| self.changes.get(hash).is_none_or(|changed| *changed <= revision))
    }

    /// Takes an answer in, which must hold.
    pub(crate) fn add(&mut self, key: K, hashes: Arc<[KeyHash]>, revision: Revision) -> EntryId {
        let id = self.next_id;
        self.next_id += 1;
        self.by_hash.extend(hashes.iter().map(|hash| (*hash, id)));
        self.answers.insert(id, IndexEntry { key, hashes, revision });
        id
    }

    /// Forgets an answer, if it is known, and returns its key.
    pub(crate) fn remove(&mut self, id: EntryId) -> Option<K> {
        let answer = self.answers.remove(&id)?;
        for hash in answer.hashes.iter() {
            self.by_hash.remove(&(*hash, id));
        }
        Some(answer.key)
    }

    /// Applies a change, and removes the answers that it alters: those that depend on the key and were read before it.
    pub(crate) fn invalidate(&mut self, hash: KeyHash, revision: Revision, removed: &mut Vec<K>) {
        let changed = self.changes.entry(hash).or_insert(revision);
        *changed = revision.max(*changed);
        let dependent = self.by_hash.range((hash, EntryId::MIN)..=(hash, EntryId::MAX)).map(|(_, id)| *id);
        let older = |id: &EntryId| self.answers.get(id).is_some_and(|answer| answer.revision < revision);
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
    pub(crate) fn invalidate_through(&mut self, through: Revision, removed: &mut Vec<K>) {
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

    /// How many answers, and how many of their hashes, are indexed.
    #[cfg(test)]
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.answers.len(), self.by_hash.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_forgotten_change_does_not_hold() {
        let mut index = DependencyIndex::<&str>::default();
        let mut removed = Vec::new();
        for hash in 0..=MAX_CHANGES as KeyHash {
            index.invalidate(hash, 7, &mut removed);
        }
        assert!(!index.is_current(&[3], 6) && index.is_current(&[MAX_CHANGES as KeyHash + 1], 6), "remembered");
        index.advance(7);
        assert!(index.changes.is_empty());
        assert!(!index.is_current(&[3], 6));
        assert!(index.is_current(&[3], 7));
    }

    #[test]
    fn what_was_read_after_a_change_outlives_its_application() {
        let mut index = DependencyIndex::default();
        let mut removed = Vec::new();
        index.add("read at 6", [1].into(), 6);
        index.add("read at 7", [1].into(), 7);
        index.invalidate(1, 7, &mut removed);
        assert_eq!(removed, ["read at 6"]);
        assert_eq!(index.size(), (1, 1));
    }
}
