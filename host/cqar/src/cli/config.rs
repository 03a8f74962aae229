//! `cqar config`: the effective configuration, and whether it is one.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    ClientArgs, ConfigArgs,
    error::{CliError, Exit},
    output,
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar config show
  cqar config show --config /etc/cqar --output json
  cqar config check && cqar serve
  cqar config defaults > config/config.yaml

The layers, each over the one before: compiled-in defaults, config.yaml, config.prod.yaml
(SERVICE_ENV=production) or config.dev.yaml (SERVICE_ENV=development), and environment variables
such as SERVER_GRPC_PORT for server.grpc_port.")]
pub struct ConfigCommand {
    #[command(subcommand)]
    command: ConfigSubcommand,
}

#[derive(Debug, Subcommand)]
enum ConfigSubcommand {
    /// Prints each setting with its value and where it comes from; secrets are never shown.
    Show(ConfigArgs),
    /// Says everything that is wrong; the exit code is 4 if anything is.
    Check(ConfigArgs),
    /// Prints the defaults with their explanations, as a file to start from.
    Defaults,
}

#[derive(Serialize)]
struct Setting<'a> {
    key: &'a str,
    value: &'a str,
    source: String,
}

/// Shows or checks the configuration.
pub fn run(command: &ConfigCommand, client: &ClientArgs) -> Result<Exit, CliError> {
    match &command.command {
        ConfigSubcommand::Show(args) => {
            let loaded = args.load()?;
            let settings = loaded.sources.iter();
            let settings = settings.map(|s| Setting { key: &s.key, value: &s.shown, source: s.origin.to_string() });
            let settings: Vec<Setting<'_>> = settings.collect();
            if !client.format().print(&settings)? {
                let rows = settings.into_iter().map(|s| [s.key.to_owned(), s.value.to_owned(), s.source]);
                output::table(["KEY", "VALUE", "SOURCE"], rows)?;
            }
            warn(&loaded.warnings);
        }
        ConfigSubcommand::Check(args) => {
            let loaded = args.load()?;
            warn(&loaded.warnings);
            output::line("the configuration is valid")?;
        }
        ConfigSubcommand::Defaults => output::line(crate::config::DEFAULTS.trim_end())?,
    }
    Ok(Exit::Done)
}

fn warn(warnings: &[crate::config::Warning]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
