//! `cqar compile`: the process that compiles one component, from standard input to standard output.
//!
//! It takes its limits before it reads a byte, never instantiates anything (so that wasmtime's reservations do not count against its
//! address space), and has one thread.

use std::{
    ffi::OsString,
    io::{self, Read as _},
    process::ExitCode,
    str::FromStr,
};

use rustix::process::{Pid, Resource, Rlimit, Signal, getppid, nice, set_parent_process_death_signal, setrlimit};
use wasmparser::Parser;

use super::{cache::write_artefact, weight};
use crate::runtime::engine;

/// The bytes are no component that this server can run. Standard error says why.
pub(super) const INVALID: u8 = 64;
/// It needed more memory than it may have.
pub(super) const MEMORY: u8 = 65;
/// Its result could not be written.
pub(super) const UNWRITABLE: u8 = 66;
/// It could not be set up.
pub(super) const SETUP: u8 = 67;

/// Interpreters take 10 to 20 s.
pub(super) const CPU_SECONDS: u64 = 60;
/// The largest components become some 60 MiB.
pub(super) const OUTPUT_BYTES: u64 = 128 << 20;
/// Whoever waits for the server goes before whoever waits for a plugin.
const NICENESS: i32 = 5;

/// Compiles the component on standard input to standard output, with the arguments that the server gives: the bytes of its address
/// space, and the process that it ends with.
pub fn compile_main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let ended = match limit_itself(arguments) {
        Ok(()) => compile(),
        Err(error) => Err((SETUP, error.to_string())),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, message)) => {
            // The server reads no more of it than a reason has.
            eprintln!("{message:.4000}");
            ExitCode::from(code)
        }
    }
}

fn limit_itself(arguments: impl Iterator<Item = OsString>) -> io::Result<()> {
    let arguments: Vec<OsString> = arguments.collect();
    let [memory_bytes, parent] = arguments.as_slice() else {
        return Err(io::Error::other(
            "`cqar compile` is started by the server, with its limit and the server's process id",
        ));
    };
    let (memory_bytes, parent): (u64, i32) = (number(memory_bytes)?, number(parent)?);
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before that.
    if getppid() != Pid::from_raw(parent) {
        return Err(io::Error::other("the server ended"));
    }
    let limit = |soft, hard| Rlimit { current: Some(soft), maximum: Some(hard) };
    setrlimit(Resource::Core, limit(0, 0))?;
    setrlimit(Resource::Fsize, limit(OUTPUT_BYTES, OUTPUT_BYTES))?;
    // The softer limit says what it is; the harder one ends it by a signal that could be anybody's.
    setrlimit(Resource::Cpu, limit(CPU_SECONDS, CPU_SECONDS + 5))?;
    setrlimit(Resource::As, limit(memory_bytes, memory_bytes))?;
    nice(NICENESS)?;
    // Where memory is short, this process goes, and not the server. A container that ends as a whole (`memory.oom.group`) would take the
    // server along: that is why no more is given than there is.
    // Nothing is lost where the system has no such file.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    Ok(())
}

fn number<T: FromStr>(argument: &OsString) -> io::Result<T> {
    let number = argument.to_str().and_then(|it| it.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{} is no number", argument.display())))
}

fn compile() -> Result<(), (u8, String)> {
    let failed = |code: u8| move |error: io::Error| (code, error.to_string());
    let mut component = Vec::new();
    io::stdin().lock().read_to_end(&mut component).map_err(failed(SETUP))?;
    if Parser::is_core_wasm(&component) {
        let message = "the file is a module of WebAssembly and no component; build it for wasm32-wasip2";
        return Err((INVALID, message.to_owned()));
    }
    weight::check(&component).map_err(|reason| (INVALID, reason))?;
    let engine = engine::compiler().map_err(|error| (SETUP, format!("{error:#}")))?;
    let artefact = engine.precompile_component(&component).map_err(|error| {
        let message = format!("{error:#}");
        // The allocator's refusals end the process; those of mappings come as errors.
        let memory = message.contains("Cannot allocate memory") || message.contains("out of memory");
        (if memory { MEMORY } else { INVALID }, message)
    })?;
    write_artefact(io::stdout().lock(), &artefact).map_err(failed(UNWRITABLE))
}
