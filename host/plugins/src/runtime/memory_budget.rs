//! The memory of all instances together.
//!
//! Each plugin is guaranteed one instance at its limit, so that none can starve another. What is beyond that comes from what the budget
//! has left: instances that wait for their next call give way first, and then the call is refused, which is no fault of its plugin's.

use std::sync::{Arc, Weak};

use parking_lot::Mutex;

/// What has instances that can be given up.
pub(crate) trait EvictIdle: Send + Sync {
    /// Gives back the memory of instances that wait for their next call.
    fn evict_idle(&self);
}

/// The budget of the host.
pub(crate) struct MemoryBudget {
    total_bytes: usize,
    used: Mutex<Used>,
    pools: Mutex<Vec<Weak<dyn EvictIdle>>>,
}

#[derive(Default)]
struct Used {
    /// What plugins are guaranteed.
    guaranteed: usize,
    /// What they use beyond that.
    beyond: usize,
}

/// The memory of one plugin's instances.
pub(crate) struct MemoryAccount {
    budget: Arc<MemoryBudget>,
    /// Guarded by the budget's lock.
    state: Mutex<AccountState>,
}

#[derive(Default)]
struct AccountState {
    guaranteed: usize,
    used: usize,
}

impl MemoryBudget {
    /// A budget of so many bytes.
    pub(crate) fn new(total_bytes: usize) -> Arc<Self> {
        Arc::new(Self { total_bytes, used: Mutex::default(), pools: Mutex::default() })
    }

    /// The account of a plugin, which is guaranteed nothing yet.
    pub(crate) fn account(self: &Arc<Self>) -> Arc<MemoryAccount> {
        Arc::new(MemoryAccount { budget: Arc::clone(self), state: Mutex::default() })
    }

    /// Notes what can be evicted.
    pub(crate) fn register(&self, pool: Weak<dyn EvictIdle>) {
        let mut pools = self.pools.lock();
        pools.retain(|pool| pool.strong_count() > 0);
        pools.push(pool);
    }

    fn evict_idle(&self) {
        let pools: Vec<_> = self.pools.lock().iter().filter_map(Weak::upgrade).collect();
        for pool in pools {
            pool.evict_idle();
        }
    }
}

impl MemoryAccount {
    /// Guarantees so many bytes. The error says how much the others are guaranteed.
    pub(crate) fn guarantee(&self, bytes: usize) -> Result<(), String> {
        let is_beyond = {
            let used = self.budget.used.lock();
            used.guaranteed + used.beyond + bytes > self.budget.total_bytes
        };
        if is_beyond {
            // What others have idle beyond their own gives way first.
            self.budget.evict_idle();
        }
        let mut used = self.budget.used.lock();
        let mut state = self.state.lock();
        let others = used.guaranteed - state.guaranteed;
        if others.saturating_add(bytes) > self.budget.total_bytes {
            let mib = |bytes: usize| bytes >> 20;
            return Err(format!(
                "it is guaranteed {} MiB of memory, and the other plugins have {} of {} MiB already (plugins.memory_budget)",
                mib(bytes),
                mib(others),
                mib(self.budget.total_bytes)
            ));
        }
        let before = state.beyond();
        state.guaranteed = bytes;
        used.guaranteed = others + bytes;
        used.beyond = used.beyond - before + state.beyond();
        Ok(())
    }

    /// Takes bytes for an instance. False if there are none left.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        if self.try_take(bytes) {
            return true;
        }
        self.budget.evict_idle();
        self.try_take(bytes)
    }

    fn try_take(&self, bytes: usize) -> bool {
        let mut used = self.budget.used.lock();
        let mut state = self.state.lock();
        let before = state.beyond();
        let after = (state.used + bytes).saturating_sub(state.guaranteed);
        let beyond = used.beyond - before + after;
        if after > before && used.guaranteed + beyond > self.budget.total_bytes {
            return false;
        }
        state.used += bytes;
        used.beyond = beyond;
        true
    }

    /// Gives bytes back.
    pub(crate) fn give_back(&self, bytes: usize) {
        let mut used = self.budget.used.lock();
        let mut state = self.state.lock();
        let before = state.beyond();
        state.used -= bytes;
        used.beyond = used.beyond - before + state.beyond();
    }
}

impl AccountState {
    fn beyond(&self) -> usize {
        self.used.saturating_sub(self.guaranteed)
    }
}

impl Drop for MemoryAccount {
    fn drop(&mut self) {
        let mut used = self.budget.used.lock();
        let state = self.state.lock();
        used.guaranteed -= state.guaranteed;
        used.beyond -= state.beyond();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Idle(Arc<MemoryAccount>, Mutex<usize>);

    impl EvictIdle for Idle {
        fn evict_idle(&self) {
            self.0.give_back(std::mem::take(&mut *self.1.lock()));
        }
    }

    #[test]
    fn each_has_its_guarantee_and_what_is_beyond_is_shared() {
        let budget = MemoryBudget::new(100);
        let (greedy, modest) = (budget.account(), budget.account());
        greedy.guarantee(30).unwrap();
        modest.guarantee(30).unwrap();
        assert!(budget.account().guarantee(50).unwrap_err().contains("plugins.memory_budget"));
        assert!(greedy.take(70), "its own, and all that is shared");
        assert!(!greedy.take(1));
        assert!(modest.take(30), "what is guaranteed is there");
        assert!(!modest.take(1));
        greedy.give_back(10);
        assert!(modest.take(10));
        drop(greedy);
        assert!(modest.take(60));
        assert!(!modest.take(1));
    }

    #[test]
    fn idle_instances_give_way_first() {
        let budget = MemoryBudget::new(100);
        let (idle, busy) = (budget.account(), budget.account());
        assert!(idle.take(80));
        let pool: Arc<dyn EvictIdle> = Arc::new(Idle(Arc::clone(&idle), Mutex::new(80)));
        budget.register(Arc::downgrade(&pool));
        assert!(busy.take(90));
        assert!(!busy.take(20), "nothing is left to be evicted");
    }
}
