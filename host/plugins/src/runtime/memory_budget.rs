//! The memory of all instances together, with the machine code that they run.
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

const MIB: usize = 1 << 20;

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
    /// The machine code of all generations.
    code: usize,
}

impl Used {
    const fn total(&self) -> usize {
        self.guaranteed + self.beyond + self.code
    }
}

/// What machine code takes for as long as something may run it.
pub(crate) struct CodeMemory {
    budget: Arc<MemoryBudget>,
    bytes: usize,
}

impl Drop for CodeMemory {
    fn drop(&mut self) {
        self.budget.used.lock().code -= self.bytes;
    }
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

    /// Takes so many bytes for machine code. The error says what there is.
    pub(crate) fn code(self: &Arc<Self>, bytes: usize) -> Result<CodeMemory, String> {
        self.make_room(bytes);
        let mut used = self.used.lock();
        if used.total().saturating_add(bytes) > self.total_bytes {
            return Err(format!(
                "its machine code has {} MiB, and {} of {} MiB are taken already (plugins.memory_budget)",
                bytes.div_ceil(MIB),
                used.total() / MIB,
                self.total_bytes / MIB
            ));
        }
        used.code += bytes;
        Ok(CodeMemory { budget: Arc::clone(self), bytes })
    }

    /// What is idle gives way, if there is no room for so many bytes.
    fn make_room(&self, bytes: usize) {
        let is_beyond = self.used.lock().total().saturating_add(bytes) > self.total_bytes;
        if is_beyond {
            self.evict_idle();
        }
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
        // What others have idle beyond their own gives way first.
        self.budget.make_room(bytes);
        let mut used = self.budget.used.lock();
        let mut state = self.state.lock();
        let others = used.guaranteed - state.guaranteed;
        let taken = others + used.code;
        if taken.saturating_add(bytes) > self.budget.total_bytes {
            return Err(format!(
                "it is guaranteed {} MiB of memory, and the other plugins, with the machine code of all, have {} of {} MiB already \
                 (plugins.memory_budget)",
                bytes / MIB,
                taken / MIB,
                self.budget.total_bytes / MIB
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
        if after > before && used.guaranteed + used.code + beyond > self.budget.total_bytes {
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

    #[test]
    fn machine_code_is_taken_from_the_same_budget_while_something_may_run_it() {
        let budget = MemoryBudget::new(100);
        let account = budget.account();
        let code = budget.code(60).unwrap();
        assert!(account.guarantee(50).unwrap_err().contains("plugins.memory_budget"));
        account.guarantee(20).unwrap();
        assert!(account.take(40) && !account.take(1));
        assert!(budget.code(1).is_err());
        drop(code);
        assert!(account.take(60));
    }
}
