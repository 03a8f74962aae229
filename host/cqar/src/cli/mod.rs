//! The command line: one module for each command.
//!
//! | module | subject |
//! |---|---|
//! | [`client`] | the connection to a server |
//! | [`output`] | tables and JSON |
//! | [`error`] | exit codes, and how errors are shown |
//! | `resolve`, `format`, `lookup`, `variants`, `get`, `list`, `rows` | reading |
//! | `write`, `fields`, `members`, `apply`, `import` | writing |
//! | `entities` | what is particular about each type of entity |
//! | `watch`, `plugin`, `status` | what goes on in a server |
//! | `migrate`, `config`, `context`, `key` | what needs no server |

mod apply;
pub mod client;
mod config;
mod context;
mod entities;
pub mod error;
mod fields;
mod format;
mod get;
mod health;
mod import;
mod key;
mod list;
mod lookup;
mod members;
mod migrate;
pub mod output;
mod plugin;
mod resolve;
mod rows;
mod status;
mod variants;
mod watch;
mod write;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use clap::{Args, CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;

use self::{
    error::{CliError, EXAMPLES_AND_EXIT_CODES, Exit},
    output::OutputFormat,
};
use crate::{
    config::{self as configuration, LoadOptions, Loaded, Purpose, values::Secret},
    serve::{self, ServeOptions, Starter},
};

/// The crypto quant asset registry: what an asset is, where it trades, and under which symbol.
#[derive(Debug, Parser)]
#[command(name = "cqar", version, propagate_version = true, after_help = EXAMPLES_AND_EXIT_CODES)]
pub struct Cli {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Command,
}

/// Which server is called, and how its answers are printed.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Client options")]
pub struct ClientArgs {
    /// The server to call, by https:// where it speaks TLS. By default that of the context, else <http://127.0.0.1:9090>.
    #[arg(long, global = true, value_name = "URL", env = "CQAR_SERVER", value_parser = server_url)]
    pub server: Option<String>,
    /// What is said of a server by this name: see `cqar context`.
    #[arg(long, global = true, value_name = "NAME", env = "CQAR_CONTEXT")]
    pub context: Option<String>,
    /// Who may have signed the server's certificate, PEM. By default whom this machine trusts.
    #[arg(long, global = true, value_name = "FILE", env = "CQAR_CA")]
    pub ca: Option<PathBuf>,
    /// The certificate to show to the server, PEM.
    #[arg(long, global = true, value_name = "FILE", env = "CQAR_CERT", requires = "key")]
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[arg(long, global = true, value_name = "FILE", env = "CQAR_KEY", requires = "cert")]
    pub key: Option<PathBuf>,
    /// The API key to call it with. Better kept in the environment, since others see command lines.
    #[arg(long, global = true, value_name = "KEY", env = "CQAR_API_KEY", hide_env_values = true)]
    pub api_key: Option<Secret>,
    /// How answers are printed. Streams default to JSON in a pipe.
    #[arg(long, short, global = true, value_enum)]
    pub output: Option<OutputFormat>,
    /// How long a call may take, such as 500ms or 2m. By default 10s, and 5m for apply and import.
    #[arg(long, global = true, value_name = "DURATION", value_parser = cqar_domain::quantity::parse_duration)]
    pub timeout: Option<Duration>,
}

/// Where a server is by default.
const DEFAULT_SERVER: &str = "http://127.0.0.1:9090";

impl ClientArgs {
    /// The server to call.
    pub fn server(&self) -> &str {
        self.server.as_deref().unwrap_or(DEFAULT_SERVER)
    }

    /// The format of a single answer.
    pub fn format(&self) -> OutputFormat {
        self.output.unwrap_or(OutputFormat::Table)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the server.
    #[command(after_help = "\
Examples:
  cqar serve                        SQLite in data/cqar.db, gRPC 9090, HTTP 8080, metrics 9091
  cqar serve --starter              the same, with the starter dataset loaded
  cqar serve --config /etc/cqar     with the files of that directory

The settings come from files and the environment: see `cqar config show`. SIGTERM lets running
calls end first.")]
    Serve(ServeArgs),
    /// Brings the database's schema up to date, or back.
    Migrate(migrate::MigrateArgs),
    /// Says what a venue's symbols mean.
    Resolve(resolve::ResolveArgs),
    /// Says under which symbol a venue trades an instrument.
    Format(format::FormatArgs),
    /// Says what addresses on chains, ids of sources and codes of venues mean.
    Lookup(lookup::LookupArgs),
    /// Lists the other forms of an asset, and what they are worth.
    Variants(variants::VariantsArgs),
    /// Shows one entity.
    Get(get::GetArgs),
    /// Lists entities.
    List(list::ListArgs),
    /// Creates one entity.
    Create(write::FieldArgs<false>),
    /// Changes fields of one entity.
    Update(write::FieldArgs<true>),
    /// Deletes one entity.
    Delete(write::DeleteArgs),
    /// Takes the deletion of one entity back.
    Undelete(write::DeleteArgs),
    /// Ends a market.
    Delist(write::DelistArgs),
    /// Shows the assets of a group, or changes some of them.
    Members(members::MembersArgs),
    /// Applies mutations from files, all of them or none.
    Apply(apply::ApplyArgs),
    /// Loads the starter dataset, or a venue's own listing.
    Import(import::ImportArgs),
    /// Follows the changes of the registry.
    Watch(watch::WatchArgs),
    /// Shows the plugins of the server.
    Plugin(plugin::PluginArgs),
    /// Shows or checks the configuration.
    Config(config::ConfigCommand),
    /// Keeps servers by name, with what it takes to call each.
    Context(context::ContextArgs),
    /// Makes API keys.
    Key(key::KeyArgs),
    /// Asks the server on this machine whether it lives, or is ready, without a key: for containers.
    Health(health::HealthArgs),
    /// Shows how the server does.
    Status(status::StatusArgs),
    /// Prints what a shell needs to complete commands and options.
    #[command(after_help = "\
Examples:
  cqar completions bash > ~/.local/share/bash-completion/completions/cqar
  cqar completions zsh > ~/.zfunc/_cqar
  cqar completions fish > ~/.config/fish/completions/cqar.fish

Open another shell, and press the tab key. For zsh, `fpath+=~/.zfunc` must stand before `compinit`.")]
    Completions {
        /// The shell.
        shell: Shell,
    },
}

impl Command {
    /// Whether it calls a server, which a context may say how to reach.
    const fn calls_server(&self) -> bool {
        !matches!(
            self,
            Self::Serve(_)
                | Self::Migrate(_)
                | Self::Config(_)
                | Self::Context(_)
                | Self::Key(_)
                | Self::Health(_)
                | Self::Completions { .. }
        )
    }

    /// Whether it answers entities, whose names can be printed.
    const fn has_names(&self) -> bool {
        match self {
            Self::Resolve(_)
            | Self::Lookup(_)
            | Self::Variants(_)
            | Self::Get(_)
            | Self::List(_)
            | Self::Create(_)
            | Self::Update(_)
            | Self::Delete(_)
            | Self::Undelete(_)
            | Self::Delist(_)
            | Self::Members(_)
            | Self::Apply(_)
            | Self::Import(_) => true,
            Self::Serve(_)
            | Self::Migrate(_)
            | Self::Format(_)
            | Self::Watch(_)
            | Self::Plugin(_)
            | Self::Config(_)
            | Self::Context(_)
            | Self::Key(_)
            | Self::Health(_)
            | Self::Status(_)
            | Self::Completions { .. } => false,
        }
    }
}

#[derive(Debug, Args)]
struct ServeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Load the starter dataset before serving, or the one of this directory; what exists already is left as it is.
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "the option, and its value")]
    starter: Option<Option<PathBuf>>,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The directory of config.yaml; `config` by default, where it may be missing.
    #[arg(long = "config", value_name = "DIR", env = "CQAR_CONFIG_DIR")]
    dir: Option<PathBuf>,
}

impl ConfigArgs {
    /// Where the configuration is: in the directory, and in the process's environment.
    pub fn options(&self, purpose: Purpose) -> LoadOptions {
        LoadOptions::of_process(self.dir.clone(), purpose)
    }

    /// Loads the configuration of the server with the process's environment.
    pub fn load(&self) -> Result<Loaded, CliError> {
        self.load_for(Purpose::Serve)
    }

    /// Loads as much of it as something else than to serve needs.
    pub fn load_for(&self, purpose: Purpose) -> Result<Loaded, CliError> {
        Ok(configuration::load(&self.options(purpose))?)
    }
}

/// Runs the command, and says on the standard error why it failed.
pub async fn run(cli: Cli) -> Exit {
    let Cli { client, command } = cli;
    let format = client.output.unwrap_or(OutputFormat::Table);
    let done = match command {
        command if command.calls_server() => match context::complete(client) {
            Ok(client) => carry_out(command, &client, format).await,
            Err(error) => Err(error),
        },
        command => carry_out(command, &client, format).await,
    };
    done.unwrap_or_else(|error| {
        error.print(format);
        error.exit()
    })
}

async fn carry_out(command: Command, client: &ClientArgs, format: OutputFormat) -> Result<Exit, CliError> {
    match command {
        // Before anything is done that would then not be told.
        command if format == OutputFormat::Name && !command.has_names() => Err(OutputFormat::nameless()),
        Command::Serve(args) => serve(args).await,
        Command::Migrate(args) => migrate::run(args, client).await,
        Command::Resolve(args) => resolve::run(args, client).await,
        Command::Lookup(args) => lookup::run(args, client).await,
        Command::Variants(args) => variants::run(args, client).await,
        Command::Get(args) => get::run(args, client).await,
        Command::List(args) => list::run(args, client).await,
        Command::Format(args) => format::run(args, client).await,
        Command::Create(args) => write::create(args, client).await,
        Command::Update(args) => write::update(args, client).await,
        Command::Delete(args) => write::delete(args, client).await,
        Command::Undelete(args) => write::undelete(args, client).await,
        Command::Delist(args) => write::delist(args, client).await,
        Command::Members(args) => members::run(args, client).await,
        Command::Apply(args) => apply::run(args, client).await,
        Command::Import(args) => import::run(args, client).await,
        Command::Watch(args) => watch::run(args, client).await,
        Command::Plugin(args) => plugin::run(args, client).await,
        Command::Config(args) => config::run(&args, client),
        Command::Context(args) => context::run(args, client),
        Command::Key(args) => key::run(args, client),
        Command::Health(args) => health::run(args, client).await,
        Command::Status(args) => status::run(args, client).await,
        Command::Completions { shell } => {
            // Into memory first: the generator panics where a reader has gone.
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cqar", &mut script);
            io::stdout().write_all(&script).map(|()| Exit::Done).map_err(CliError::from)
        }
    }
}

async fn serve(args: ServeArgs) -> Result<Exit, CliError> {
    let options = args.config.options(Purpose::Serve);
    let loaded = configuration::load(&options)?;
    let starter = args.starter.map(|dir| dir.map_or(Starter::CompiledIn, Starter::Directory));
    serve::run(loaded, options, ServeOptions { starter }).await?;
    Ok(Exit::Done)
}

fn server_url(text: &str) -> Result<String, String> {
    let uri: tonic::transport::Uri =
        text.parse().map_err(|_| "must be a URL such as http://127.0.0.1:9090".to_owned())?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(text.to_owned()),
        _ => Err("must be a URL such as http://127.0.0.1:9090".to_owned()),
    }
}

/// A time on the command line.
fn parse_time(text: &str) -> Result<cqar_proto::well_known::Timestamp, String> {
    text.parse::<cqar_domain::time::Timestamp>().map(Into::into).map_err(|error| error.to_string())
}

/// A value of an enumeration of the contract, named as the tables show it: `active`, `pre-launch`.
fn parse_value<E: Copy + Into<i32>>(
    text: &str,
    prefix: &str,
    from_name: fn(&str) -> Option<E>,
    names: fn(i32) -> Option<&'static str>,
) -> Result<i32, String> {
    let name = format!("{prefix}{}", text.to_ascii_uppercase().replace('-', "_"));
    match from_name(&name).map(Into::into) {
        Some(value) if value != 0 => Ok(value),
        _ => {
            let known = (1..).map_while(names).map(|name| output::short(name, prefix).to_ascii_lowercase());
            Err(format!("must be one of {}", known.collect::<Vec<_>>().join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;
