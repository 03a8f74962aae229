//! What one instance holds on the host's side: its limits, its clock, and the imports that do something.

use std::sync::Arc;

use cqar_domain::{lookup::Lookup, time::Timestamp};
use tokio::time::{Instant, error::Elapsed};
use wasmtime::{ResourceLimiter, Store, Trap, UpdateDeadline};
use wasmtime_wasi::{I32Exit, ResourceTable, WasiCtx, WasiCtxView, WasiView};

use super::{
    bindings::cqar::plugin::{
        log::{self, Field, Level},
        types,
    },
    engine::EPOCH,
    log_rate::{Admitted, LogRate},
    lookups::{Lookups, RecordedLookup, SharedReadSet},
    memory_budget::MemoryAccount,
    wasi::{self, CallClock, StderrTail},
};
use crate::{
    config::{Limits, TimeLimit},
    error::CallError,
    hash::Hash,
    text::clean,
};

/// An adapter, a few shims and the module itself make a handful; a Python interpreter brings two dozen.
const MAX_INSTANCES: usize = 100;
/// One or two of the module and its adapter; their sizes count together in any case.
const MAX_MEMORIES: usize = 8;
/// One of each instance that has indirect calls.
const MAX_TABLES: usize = 32;
/// Open streams, pollables and the like. A guest that holds more has lost them.
const MAX_HANDLES: usize = 1000;
/// Log lines of one call, and the size of each: a fraction of the changes of a chunk, so that a chatty plugin neither
/// fills the log nor costs more than its call. What comes after is dropped.
const MAX_LOG_LINES: u32 = 64;
const MAX_LOG_CHARS: usize = 1000;
const MAX_LOG_FIELDS: usize = 16;

/// What one call may see beside its arguments.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    /// What the plugin's clock says.
    pub(crate) now: Timestamp,
    /// Where look-ups leave their trace. Calls that share it see one state, or are made again.
    pub(crate) read_set: SharedReadSet,
    /// What it is made for.
    pub(crate) purpose: Purpose,
    /// Whether its look-ups are recorded.
    pub(crate) is_recorded: bool,
}

/// What a call is made for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// Somebody wants the answer.
    Live,
    /// To see what the plugin does: it has the time of a set-up, and its look-ups are answered.
    Trial,
    /// The same, with these look-ups alone. Its logs are not written.
    Replay(Arc<[RecordedLookup]>),
}

impl Scope {
    /// A call on its own.
    pub(crate) fn at(now: Timestamp) -> Self {
        Self { now, read_set: SharedReadSet::default(), purpose: Purpose::Live, is_recorded: false }
    }

    /// A call to see what the plugin does.
    pub(crate) fn trial(now: Timestamp) -> Self {
        Self { purpose: Purpose::Trial, ..Self::at(now) }
    }

    /// Whether somebody wants the answer.
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.purpose, Purpose::Live)
    }
}

/// The data of a store.
pub(crate) struct Sandbox {
    plugin: Arc<str>,
    wasi: WasiCtx,
    table: ResourceTable,
    clock: CallClock,
    stderr: StderrTail,
    memory: MemoryMeter,
    logs: Arc<LogRate>,
    pub(crate) lookups: Lookups,
    log_lines_left: u32,
    /// Ticks of the clock that the guest may still see.
    ticks_left: u128,
    /// Whether a look-up was waited for since the last tick.
    pub(super) has_waited: bool,
    time: TimeLimit,
    /// Why the host itself stopped the call.
    stopped: Option<CallError>,
}

impl Sandbox {
    /// A store for one instance of a plugin.
    pub(crate) fn store(
        engine: &wasmtime::Engine,
        plugin: Arc<str>,
        seed: &Hash,
        lookup: Option<Arc<dyn Lookup>>,
        memory: Option<Arc<MemoryAccount>>,
        logs: Arc<LogRate>,
        limits: &Limits,
    ) -> Store<Self> {
        let (clock, stderr) = (CallClock::default(), StderrTail::default());
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let sandbox = Self {
            plugin,
            wasi: wasi::context(&clock, &stderr, seed),
            table,
            clock,
            stderr,
            memory: MemoryMeter {
                limit_bytes: limits.memory_bytes,
                bytes: 0,
                granted: 0,
                refused: None,
                account: memory,
            },
            logs,
            lookups: Lookups::new(lookup),
            log_lines_left: 0,
            ticks_left: 0,
            has_waited: false,
            time: TimeLimit::default(),
            stopped: None,
        };
        let mut store = Store::new(engine, sandbox);
        store.limiter(|sandbox| &mut sandbox.memory);
        store.set_hostcall_fuel(limits.output_bytes);
        store.set_max_component_handles(MAX_HANDLES);
        // Yielding at every tick keeps a loop from holding a worker thread. The ticks are the guest's own time: while it waits for
        // a processor, a look-up or its turn it sees none, or one.
        store.epoch_deadline_callback(|mut context| {
            let sandbox = context.data_mut();
            // It passed while a look-up was waited for, which is not the guest's time. Look-ups are counted, and so are these.
            if std::mem::take(&mut sandbox.has_waited) {
                return Ok(yielding());
            }
            Ok(match sandbox.ticks_left.checked_sub(1) {
                Some(left) => {
                    sandbox.ticks_left = left;
                    yielding()
                }
                None => UpdateDeadline::Interrupt,
            })
        });
        store
    }

    /// The bytes of its memories and tables.
    pub(crate) const fn memory_bytes(&self) -> usize {
        self.memory.bytes
    }
}

/// Lets others run until the next tick. tokio's own yield has the runtime look for what came in meanwhile, which a task that wakes itself
/// keeps from it for 61 turns.
fn yielding() -> UpdateDeadline {
    UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now()))
}

/// Gets a store ready for a call.
pub(crate) fn begin(store: &mut Store<Sandbox>, scope: &Scope, time: TimeLimit, limits: &Limits) {
    let sandbox = store.data_mut();
    sandbox.clock.set(scope.now);
    sandbox.stderr.clear();
    sandbox.lookups.begin(scope, limits);
    sandbox.log_lines_left = if matches!(scope.purpose, Purpose::Replay(_)) { 0 } else { MAX_LOG_LINES };
    sandbox.memory.refused = None;
    sandbox.has_waited = false;
    sandbox.ticks_left = time.guest.as_millis() / EPOCH.as_millis();
    sandbox.time = time;
    store.set_epoch_deadline(1);
}

/// What came of a call that ran under a timeout: its value, or why there is none.
pub(crate) fn end<T>(store: &mut Store<Sandbox>, ended: Result<wasmtime::Result<T>, Elapsed>) -> Result<T, CallError> {
    let error = match ended {
        Ok(Ok(value)) => return Ok(value),
        Ok(Err(error)) => Some(error),
        Err(_) => None,
    };
    let sandbox = store.data_mut();
    let tail = sandbox.stderr.text();
    let Some(error) = error else { return Err(CallError::Timeout { limit: sandbox.time.total, tail }) };
    if let Some(stopped) = sandbox.stopped.take() {
        return Err(stopped);
    }
    if matches!(error.downcast_ref(), Some(Trap::Interrupt)) {
        return Err(CallError::Deadline { limit: sandbox.time.guest, tail });
    }
    match sandbox.memory.refused {
        Some(RefusedBy::Limit) => return Err(CallError::Memory { limit_bytes: sandbox.memory.limit_bytes, tail }),
        Some(RefusedBy::Budget) => return Err(CallError::MemoryBudget),
        None => {}
    }
    let message = match error.downcast_ref::<I32Exit>() {
        Some(I32Exit(code)) => format!("left with exit code {code}"),
        None => clean(&error.root_cause().to_string(), MAX_LOG_CHARS),
    };
    Err(CallError::Trap { message, tail })
}

impl WasiView for Sandbox {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl types::Host for Sandbox {}

impl log::Host for Sandbox {
    fn log(&mut self, level: Level, message: String, fields: Vec<Field>) -> wasmtime::Result<()> {
        let Some(left) = self.log_lines_left.checked_sub(1) else { return Ok(()) };
        self.log_lines_left = left;
        let dropped = match self.logs.take(Instant::now()) {
            Admitted::Yes { dropped } => dropped,
            Admitted::No => return Ok(()),
        };
        if dropped > 0 {
            tracing::warn!(plugin = &*self.plugin, dropped, "plugin_logs_dropped");
        }
        let message = clean(&message, MAX_LOG_CHARS);
        let fields: Vec<_> = fields
            .iter()
            .take(MAX_LOG_FIELDS)
            .map(|field| format!("{}={}", clean(&field.key, MAX_LOG_CHARS), clean(&field.value, MAX_LOG_CHARS)))
            .collect();
        let (plugin, fields) = (&*self.plugin, fields.join(" "));
        match level {
            Level::Debug => tracing::debug!(plugin, message, fields, "plugin log"),
            Level::Info => tracing::info!(plugin, message, fields, "plugin log"),
            Level::Warn => tracing::warn!(plugin, message, fields, "plugin log"),
            Level::Error => tracing::error!(plugin, message, fields, "plugin log"),
        }
        Ok(())
    }
}

impl Sandbox {
    /// Ends the call: for what the plugin must not judge by.
    pub(crate) fn stop(&mut self, why: CallError) -> wasmtime::Error {
        let error = wasmtime::Error::msg(why.to_string());
        self.stopped = Some(why);
        error
    }
}

/// Sums the memories and tables of one store.
struct MemoryMeter {
    limit_bytes: usize,
    bytes: usize,
    /// Of them, what was granted last.
    granted: usize,
    refused: Option<RefusedBy>,
    /// What the plugin's instances have together; none for one that is bounded by itself.
    account: Option<Arc<MemoryAccount>>,
}

/// Which bound an instance met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RefusedBy {
    /// Its own.
    Limit,
    /// That of all plugins together.
    Budget,
}

impl MemoryMeter {
    /// Growth that is refused is an allocation that fails: the guest may live with it.
    fn grow(&mut self, current: usize, desired: usize) -> bool {
        self.granted = 0;
        let bytes = desired.saturating_sub(current);
        let sum = self.bytes.saturating_add(bytes);
        if sum > self.limit_bytes {
            self.refused = Some(RefusedBy::Limit);
            return false;
        }
        if !self.account.as_ref().is_none_or(|account| account.take(bytes)) {
            self.refused = Some(RefusedBy::Budget);
            return false;
        }
        self.bytes = sum;
        self.granted = bytes;
        true
    }

    /// What was granted last was not used after all.
    fn take_back(&mut self) {
        let bytes = std::mem::take(&mut self.granted);
        self.bytes -= bytes;
        if let Some(account) = &self.account {
            account.give_back(bytes);
        }
    }
}

impl Drop for MemoryMeter {
    fn drop(&mut self) {
        if let Some(account) = &self.account {
            account.give_back(self.bytes);
        }
    }
}

impl ResourceLimiter for MemoryMeter {
    fn memory_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        // Beyond its own maximum it does not grow, whatever is said here.
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(current, desired))
    }

    fn memory_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = |elements: usize| elements.saturating_mul(size_of::<usize>());
        Ok(maximum.is_none_or(|maximum| desired <= maximum) && self.grow(bytes(current), bytes(desired)))
    }

    fn table_grow_failed(&mut self, _: wasmtime::Error) -> wasmtime::Result<()> {
        self.take_back();
        Ok(())
    }

    fn instances(&self) -> usize {
        MAX_INSTANCES
    }

    fn memories(&self) -> usize {
        MAX_MEMORIES
    }

    fn tables(&self) -> usize {
        MAX_TABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_share_one_limit() {
        let mut meter = MemoryMeter { limit_bytes: 1 << 20, bytes: 0, granted: 0, refused: None, account: None };
        assert!(meter.memory_growing(0, 512 << 10, None).unwrap());
        assert!(meter.table_growing(0, 1 << 10, None).unwrap());
        assert!(!meter.memory_growing(512 << 10, 1 << 20, None).unwrap());
        assert_eq!(meter.refused, Some(RefusedBy::Limit));
        assert_eq!(meter.bytes, (512 << 10) + (8 << 10));

        // What does not grow after all is not counted.
        assert!(!meter.memory_growing(64 << 10, 128 << 10, Some(64 << 10)).unwrap());
        assert!(meter.memory_growing(512 << 10, 768 << 10, None).unwrap());
        meter.memory_grow_failed(wasmtime::Error::msg("no memory is left")).unwrap();
        assert_eq!(meter.bytes, (512 << 10) + (8 << 10));
    }
}
