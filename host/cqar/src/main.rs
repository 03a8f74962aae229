//! `cqar`: the crypto quant asset registry, server and client in one binary.
//!
//! It wires the crates together, and may depend on all of them.
//!
//! | module | subject |
//! |---|---|
//! | [`cli`] | the command line |
//! | [`config`] | the configuration and its layers |
//! | [`mutations`] | files of mutations, and of single entities |
//! | [`serve`] | the server, from start to shutdown |
//! | [`starter`] | the starter dataset |
//! | [`telemetry`] | logs and traces |

mod cli;
mod config;
mod mutations;
mod serve;
mod starter;
mod telemetry;

use std::process::ExitCode;

use clap::Parser as _;

use cli::{
    Cli,
    error::{CliError, Exit},
    output::OutputFormat,
};

/// Gives memory back to the system after a large import, and is twice as fast at it; SQLite and zstd use it too.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// The command by which the server has a plugin compiled. It is none of the command line's: its process has one thread, and its limits
/// before anything else.
const COMPILE: &str = "compile";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|command| command == COMPILE) {
        return cqar_plugins::compile_main(arguments);
    }
    let cli = Cli::parse();
    // The one provider of cryptography for PostgreSQL, Redis, NATS and the collector. It fails only where there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let exit = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let exit = runtime.block_on(cli::run(cli));
            // What blocks a thread, such as a read of the standard input or a plugin that is compiled, is not waited for.
            runtime.shutdown_background();
            exit
        }
        Err(error) => {
            CliError::from(error).print(OutputFormat::Table);
            Exit::Failed
        }
    };
    exit.into()
}
