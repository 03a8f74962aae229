//! The threads that run the compiler's processes, and what becomes of each.

use std::{
    fs::{self, File},
    io::{self, Read as _},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, poll},
    process::{Signal, getpid},
    time::Timespec,
};
use tokio::sync::{mpsc, oneshot};

use super::{
    CompileError, CompiledCache, CompilerConfig,
    child::{CPU_SECONDS, INVALID, MEMORY, OUTPUT_BYTES},
    free_memory,
};
use crate::{generation_store::ComponentFile, hash::Hash, text::clean};

/// What takes longer waits for something, as it has a minute of processor time: a disk that is frozen, a machine that swaps.
const WALL_TIME: Duration = Duration::from_mins(10);
/// How soon it is noticed that nobody waits for the result any more.
const ABANDONED: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Left to the server of what its control group has.
const RESERVE_BYTES: u64 = 64 << 20;
/// How many compile at the same time.
const QUEUES: u64 = 2;
/// With less, no component compiles.
const LEAST_BYTES: u64 = 128 << 20;
/// A reason, with its context.
const MAX_MESSAGE_BYTES: usize = 4000;

pub(super) type JobOutcome = Result<(), CompileError>;

/// A component that is to be compiled.
pub(super) struct Job {
    pub(super) hash: Hash,
    pub(super) component: Arc<ComponentFile>,
    pub(super) reply: oneshot::Sender<JobOutcome>,
}

/// Starts a thread that compiles one component at a time. It ends when no more can come. The kernel ends a child with the thread
/// that started it, so that it is one of its own: those of a runtime come and go.
pub(super) fn start_worker(
    name: &str,
    config: &CompilerConfig,
    cache: &Arc<CompiledCache>,
    mut jobs: mpsc::UnboundedReceiver<Job>,
) -> io::Result<()> {
    let (config, cache) = (config.clone(), Arc::clone(cache));
    let work = move || {
        while let Some(mut job) = jobs.blocking_recv() {
            if job.reply.is_closed() {
                continue;
            }
            let outcome = compile(&config, &cache, &mut job);
            if let Err(CompileError::Refused(reason)) = &outcome {
                cache.refuse(&job.hash, reason);
            }
            // An error means that nobody waits any more; the result is kept.
            let _ = job.reply.send(outcome);
        }
    };
    thread::Builder::new().name(name.into()).spawn(work).map(drop)
}

/// How much address space the child gets, and whether that is less than it might have at another time.
struct MemoryLimit {
    bytes: u64,
    is_short: bool,
}

fn compile(config: &CompilerConfig, cache: &CompiledCache, job: &mut Job) -> JobOutcome {
    // One of each queue may run, and both together take no more than there is.
    let free = free_memory::bytes().map_or(u64::MAX, |free| free.saturating_sub(RESERVE_BYTES) / QUEUES);
    let limit = MemoryLimit { bytes: config.memory_bytes.min(free), is_short: free < config.memory_bytes };
    if limit.is_short && limit.bytes < LEAST_BYTES {
        return Err(CompileError::MayPass(format!("the machine has {} MiB left to compile with", limit.bytes >> 20)));
    }
    let may_pass = |error: io::Error| CompileError::MayPass(format!("the compiler does not start: {error}"));
    let component = File::open(job.component.path()).map_err(may_pass)?;
    let (output, partial) = cache.begin(&job.hash).map_err(may_pass)?;
    let ended = run(config, limit.bytes, component, output, job).map_err(may_pass);
    let kept = ended.and_then(|ended| {
        judge(&ended, &limit)?;
        cache.finish(&job.hash, &partial).map_err(|error| CompileError::MayPass(error.to_string()))
    });
    remove(&partial);
    kept
}

/// How a child ended.
struct Ended {
    /// None if it was stopped, since it took too long or nobody waited any more.
    status: Option<ExitStatus>,
    message: String,
}

fn run(config: &CompilerConfig, memory_bytes: u64, input: File, output: File, job: &mut Job) -> io::Result<Ended> {
    let mut child = Command::new(&config.program)
        .args(["compile", &memory_bytes.to_string(), &getpid().as_raw_nonzero().to_string()])
        .env_clear()
        // The allocator gives back what it does not use, and starts no thread.
        .env("MALLOC_CONF", "background_thread:false,narenas:1")
        .current_dir("/")
        .stdin(input)
        .stdout(output)
        .stderr(Stdio::piped())
        .spawn()?;
    let waited = wait(&mut child, job);
    if !matches!(waited, Ok(Ended { status: Some(_), .. })) {
        // An error means that it ended by itself.
        let _ = child.kill();
        child.wait()?;
    }
    waited
}

/// Waits for the end of standard error, which is the child's.
fn wait(child: &mut Child, job: &mut Job) -> io::Result<Ended> {
    let Some(mut stderr) = child.stderr.take() else { return Err(io::Error::other("it has no standard error")) };
    let deadline = Instant::now() + WALL_TIME;
    let mut message = Vec::new();
    loop {
        let mut waiting = [PollFd::new(&stderr, PollFlags::IN)];
        let ready = match poll(&mut waiting, Some(&ABANDONED)) {
            Err(rustix::io::Errno::INTR) => 0,
            ready => ready?,
        };
        if ready == 0 {
            if Instant::now() >= deadline || job.reply.is_closed() {
                return Ok(Ended { status: None, message: String::new() });
            }
            continue;
        }
        let mut buffer = [0; 4096];
        let count = stderr.read(&mut buffer)?;
        if count == 0 {
            let message = clean(&String::from_utf8_lossy(&message), MAX_MESSAGE_BYTES);
            return Ok(Ended { status: Some(child.wait()?), message: message.trim().to_owned() });
        }
        if message.len() < MAX_MESSAGE_BYTES {
            message.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
    }
}

/// Whether the child did its work; else whose fault it is that it did not.
fn judge(ended: &Ended, limit: &MemoryLimit) -> Result<(), CompileError> {
    let message = &ended.message;
    let Some(status) = ended.status else {
        return Err(CompileError::MayPass(format!("the compiler did not end within {} min", WALL_TIME.as_secs() / 60)));
    };
    let memory = || {
        let limit_mib = limit.bytes >> 20;
        if limit.is_short {
            return CompileError::MayPass(format!(
                "the compiler needs more than the {limit_mib} MiB that are free now"
            ));
        }
        CompileError::Refused(format!(
            "the compiler would need more than {limit_mib} MiB of memory (plugins.compile_memory)"
        ))
    };
    if let Some(code) = status.code() {
        return match u8::try_from(code) {
            Ok(0) => Ok(()),
            Ok(INVALID) => Err(CompileError::Refused(message.clone())),
            Ok(MEMORY) => Err(memory()),
            // The compiler's own mistake, which it makes again.
            Ok(101) => Err(CompileError::Refused(format!("the compiler failed: {message}"))),
            _ => Err(CompileError::MayPass(format!("the compiler ended with code {code}: {message}"))),
        };
    }
    let signal = status.signal().and_then(Signal::from_named_raw);
    Err(match signal {
        Some(Signal::XCPU) => {
            CompileError::Refused(format!("the compiler would need more than {CPU_SECONDS} s of processor time"))
        }
        Some(Signal::XFSZ) => {
            CompileError::Refused(format!("it would become more than {} MiB of machine code", OUTPUT_BYTES >> 20))
        }
        // How an allocation that is refused ends the process.
        Some(Signal::ABORT) if message.contains("memory allocation of") => memory(),
        // A stack that cannot grow: the file nests too deeply, or the limit is reached.
        Some(Signal::SEGV) if limit.is_short => memory(),
        Some(Signal::ABORT | Signal::SEGV | Signal::ILL) => {
            CompileError::Refused(format!("the compiler failed, by {status}: {message}"))
        }
        _ => CompileError::MayPass(format!("the compiler was ended by {status}: {message}")),
    })
}

fn remove(partial: &Path) {
    // An error means that it was renamed.
    let _ = fs::remove_file(partial);
}
