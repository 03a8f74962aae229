//! What the newest commits of this process touched: who planned a write meanwhile need not read them from the log.
//!
//! Invariant: a commit is known by its revision and its time together. A failover may lose one, and another server make another
//! commit of that revision.

use std::{
    collections::{HashSet, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use cqar_domain::{entity::Revision, time::Timestamp};
use parking_lot::Mutex;

use crate::{
    footprint::{Dependence, dependences_of},
    write::Change,
};

/// The most commits that are remembered, and the most that they touched together, 8 bytes each.
const MAX_REMEMBERED: usize = 1024;
const MAX_TOUCHED: usize = 1 << 20;

/// The newest commits of this process.
#[derive(Debug, Default)]
pub(crate) struct RecentCommits {
    hasher: RandomState,
    commits: Mutex<VecDeque<RecentCommit>>,
}

/// One of them.
#[derive(Debug, Clone)]
pub(crate) struct RecentCommit {
    pub(crate) revision: Revision,
    pub(crate) time: Timestamp,
    /// Hashes of what it touched.
    pub(crate) touched: Arc<[u64]>,
}

impl RecentCommits {
    /// How dependences are hashed, those of footprints too.
    pub(crate) fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// What changes touch.
    pub(crate) fn touched_by(hasher: &RandomState, changes: &[Change]) -> Arc<[u64]> {
        let mut touched = HashSet::new();
        for entity in changes.iter().flat_map(|change| [&change.before, &change.after]).flatten() {
            dependences_of(entity, |dependence: &Dependence<'_>| {
                touched.insert(hasher.hash_one(dependence));
            });
        }
        touched.into_iter().collect()
    }

    /// Remembers a commit, and forgets the oldest where there are too many.
    pub(crate) fn add(&self, commit: RecentCommit) {
        let mut commits = self.commits.lock();
        commits.push_back(commit);
        let touched = |commits: &VecDeque<RecentCommit>| commits.iter().map(|it| it.touched.len()).sum::<usize>();
        while commits.len() > MAX_REMEMBERED || touched(&commits) > MAX_TOUCHED {
            commits.pop_front();
        }
    }

    /// The commit, if it is remembered.
    pub(crate) fn find(&self, revision: Revision, time: Timestamp) -> Option<RecentCommit> {
        let commits = self.commits.lock();
        commits.iter().rev().find(|it| it.revision == revision && it.time == time).cloned()
    }
}
