//! `cqar config`: the effective configuration, and whether it is one.

use clap::{Args, Subcommand};
use serde::Serialize;

use super::{
    ClientArgs, ConfigArgs,
    error::{CliError, Exit},
    output,
};
use crate::config::{Loaded, document, rules, variables::Warning};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar config show
  cqar config show --config /etc/cqar --output json
  cqar config check --strict && cqar serve
  cqar config defaults > config/config.yaml

The layers, each over the one before: compiled-in defaults, config.yaml, config.prod.yaml
(SERVICE_ENV=production), config.staging.yaml or config.dev.yaml, and environment variables such as
SERVER_GRPC_PORT for server.grpc_port. docs/configuration.md has every key.")]
pub struct ConfigCommand {
    #[command(subcommand)]
    command: ConfigSubcommand,
}

#[derive(Debug, Subcommand)]
enum ConfigSubcommand {
    /// Prints each setting with its value and where it comes from; secrets are never shown.
    Show(ConfigArgs),
    /// Says everything that is wrong; the exit code is 4 if anything is.
    Check(CheckArgs),
    /// Prints the defaults with their explanations, as a file to start from.
    Defaults,
    /// Prints docs/configuration.md.
    #[command(hide = true)]
    Docs,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also says what is missing, and what is unwise in production: the exit code is 1 if there is any, or a variable that sets nothing.
    #[arg(long)]
    strict: bool,
}

#[derive(Serialize)]
struct Checked<'a> {
    is_valid: bool,
    warnings: Vec<String>,
    findings: Vec<Finding<'a>>,
}

#[derive(Serialize)]
struct Finding<'a> {
    key: &'a str,
    message: String,
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
        ConfigSubcommand::Check(CheckArgs { config, strict }) => return check(&config.load()?, *strict, client),
        ConfigSubcommand::Defaults => output::line(document::defaults_yaml().trim_end())?,
        ConfigSubcommand::Docs => output::line(document::markdown().trim_end())?,
    }
    Ok(Exit::Done)
}

fn check(loaded: &Loaded, strict: bool, client: &ClientArgs) -> Result<Exit, CliError> {
    let findings = if strict { rules::findings(&loaded.config) } else { Vec::new() };
    let findings: Vec<Finding<'_>> = findings.into_iter().map(|(key, message)| Finding { key, message }).collect();
    let warnings = loaded.warnings.iter().map(ToString::to_string).collect();
    let checked = Checked { is_valid: true, warnings, findings };
    if !client.format().print(&checked)? {
        warn(&loaded.warnings);
        for Finding { key, message } in &checked.findings {
            eprintln!("finding: {key} {message}");
        }
        output::line(&match checked.findings.len() {
            0 => "the configuration is valid".to_owned(),
            1 => "the configuration is valid, with 1 finding".to_owned(),
            findings => format!("the configuration is valid, with {findings} findings"),
        })?;
    }
    // What is accepted without effect is as deployments have it.
    let is_mistake = |warning: &Warning| !matches!(warning, Warning::NoEffect { .. });
    let is_clean = checked.findings.is_empty() && !loaded.warnings.iter().any(is_mistake);
    Ok(if strict && !is_clean { Exit::Failed } else { Exit::Done })
}

fn warn(warnings: &[Warning]) {
    for warning in warnings {
        eprintln!("warning: {warning}");
    }
}
