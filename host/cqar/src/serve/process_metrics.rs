//! What is to be known of the process as a whole: its build, what it has of the machine, and its runtime.

use prometheus::{IntGaugeVec, Opts, PullingGauge, Registry, core::Collector, process_collector::ProcessCollector};
use tokio::runtime::Handle;

/// Registers them. They are read when they are asked for.
pub fn register(metrics: &Registry) -> Result<(), prometheus::Error> {
    let build = IntGaugeVec::new(Opts::new("cqar_build_info", "1, with the version of this build"), &["version"])?;
    build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    // Of the runtime that this is called in.
    let runtime = || Handle::current().metrics();
    let (workers, tasks, queue) = (runtime(), runtime(), runtime());
    let gauge = |name, help, value| PullingGauge::new(name, help, value).map(Box::new);
    let collectors: [Box<dyn Collector>; 5] = [
        Box::new(ProcessCollector::for_self()),
        Box::new(build),
        gauge("cqar_runtime_workers", "Threads that run tasks", Box::new(move || float(workers.num_workers())))?,
        gauge("cqar_runtime_tasks", "Tasks that have not ended", Box::new(move || float(tasks.num_alive_tasks())))?,
        gauge(
            "cqar_runtime_queue_depth",
            "Tasks that wait for a thread in the queue of all of them",
            Box::new(move || float(queue.global_queue_depth())),
        )?,
    ];
    collectors.into_iter().try_for_each(|collector| metrics.register(collector))
}

#[expect(clippy::cast_precision_loss, reason = "no process has 2^52 tasks")]
fn float(count: usize) -> f64 {
    count as f64
}
