//! `cqar create`, `update`, `delete`, `undelete` and `delist`: one entity, from options or from a file. Each is one mutation, as `cqar apply`
//! sends many.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, error::ErrorKind, value_parser};
use cqar_proto::{
    convert,
    v1::{ApplyRequest, ApplyResponse, Delisting, Entity, Mutation, entity, mutation::Operation},
    well_known::{FieldMask, Timestamp},
};
use tonic::Status;
use tonic_types::StatusExt as _;

use super::{
    ClientArgs,
    apply::{self, WriteArgs},
    client::{Connection, DEFAULT_TIMEOUT},
    entities::{self, ENTITIES, EntityCommands, Lookup},
    error::{CliError, Exit},
    fields::{self, Settable},
    get::kinds,
    output::{self, OutputFormat},
    parse_time, rows,
};
use crate::mutations;

const FILE: &str = "file";
const NAME: &str = "entity";

const CREATE_EXAMPLES: &str = "\
Examples:
  cqar create asset --symbol ABC --name Abacus --type token
  cqar create instrument --spot.base-asset-id ABC --spot.quote-asset-id USDT
  cqar create market --venue-id binance --segment spot --venue-symbol ABCUSDT
    --instrument-id ABC/USDT --status active --tick-size 0.01
  cqar create asset -f abacus.yaml --validate-only

`cqar create KIND --help` shows the fields. An asset, an instrument or a market may be named where
its id is asked for. A file has the entity as `cqar get --output yaml` prints it; `cqar apply`
takes files of many.";

const UPDATE_EXAMPLES: &str = "\
Examples:
  cqar update asset ABC --name 'Abacus Two' --labels desk=a --labels tier=2
  cqar update market binance/spot/ABCUSDT --status halted --reason 'the venue said so'
  cqar update market binance/spot/ABCUSDT --tick-size ''       takes the value back
  cqar get asset ABC --output yaml > abc.yaml && cqar update asset -f abc.yaml

Only the given fields change; a map or a list is replaced as a whole. A file that has the etag of
what was read is refused if the entity changed since (exit code 5).";

/// `cqar create` and `cqar update`: a subcommand for each type of entity, whose fields are its options.
#[derive(Debug)]
pub struct FieldArgs<const UPDATES: bool> {
    of: &'static EntityCommands,
    options: ArgMatches,
    write: WriteArgs,
}

impl<const UPDATES: bool> FieldArgs<UPDATES> {
    const WHICH: Settable = if UPDATES { Settable::Mutable } else { Settable::All };

    fn subcommand(of: &EntityCommands) -> Command {
        let about = format!("{} {}", if UPDATES { "Changes" } else { "Creates" }, of.described);
        Command::new(of.name).aliases(of.name_aliases).about(about).defer(|command| {
            let Some(of) = EntityCommands::named(command.get_name()) else { return command };
            let file = Arg::new(FILE).short('f').long(FILE).value_name("FILE").value_parser(value_parser!(PathBuf));
            let file = file.help("The entity from a YAML or JSON file instead; `-` is the standard input");
            let command = command.arg_required_else_help(true).arg(file);
            let command = if UPDATES {
                let name = Arg::new(NAME).value_name("NAME").required_unless_present(FILE);
                command.arg(name.help("Its id, or its name; with a file, the file's id unless it is given"))
            } else {
                command
            };
            let given = command.get_arguments().count();
            let command = fields::add_options(command, of, Self::WHICH);
            let fields: Vec<_> = command.get_arguments().skip(given).map(|arg| arg.get_id().clone()).collect();
            let command = fields.into_iter().fold(command, |command, id| {
                command.mut_arg(id, |arg| arg.conflicts_with(FILE).help_heading("Fields"))
            });
            WriteArgs::augment_args(command)
        })
    }
}

impl<const UPDATES: bool> FromArgMatches for FieldArgs<UPDATES> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, options) = matches.subcommand().ok_or_else(|| clap::Error::new(ErrorKind::MissingSubcommand))?;
        let of = EntityCommands::named(name).ok_or_else(|| clap::Error::new(ErrorKind::InvalidSubcommand))?;
        Ok(Self { of, options: options.clone(), write: WriteArgs::from_arg_matches(options)? })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl<const UPDATES: bool> Args for FieldArgs<UPDATES> {
    fn augment_args(command: Command) -> Command {
        let examples = if UPDATES { UPDATE_EXAMPLES } else { CREATE_EXAMPLES };
        command
            .subcommands(ENTITIES.map(Self::subcommand))
            .subcommand_required(true)
            .arg_required_else_help(true)
            .subcommand_value_name("KIND")
            .subcommand_help_heading("Kinds")
            .after_help(examples)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar delete market binance/spot/ABCUSDT --reason 'never existed'
  cqar delete asset ABC --validate-only
  cqar undelete asset ABC

Assets, instruments and venues are deleted softly, and can be undeleted. What others refer to is
kept (exit code 5). A market that existed is delisted instead: `cqar delist`.")]
pub struct DeleteArgs {
    /// What it is.
    #[arg(value_parser = kinds())]
    kind: &'static EntityCommands,
    /// Its id, or its name.
    name: String,
    /// Refuse unless this is its current etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    write: WriteArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar delist market binance/spot/ABCUSDT
  cqar delist market binance/spot/ABCUSDT --at 2026-11-01T08:00:00Z --reason 'announced'

It still resolves as of the time when it was live.")]
pub struct DelistArgs {
    /// What it is: a market.
    #[arg(value_parser = ["market"], value_name = "KIND")]
    _kind: String,
    /// Its id, or VENUE/SEGMENT/SYMBOL.
    name: String,
    /// From when it is no longer listed, in RFC 3339. Absent: now.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<Timestamp>,
    /// Refuse unless this is its current etag.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    write: WriteArgs,
}

/// Creates an entity.
pub async fn create(args: FieldArgs<false>, client: &ClientArgs) -> Result<Exit, CliError> {
    let (operation, _) = if let Some(path) = args.options.get_one::<PathBuf>(FILE) {
        mutations::read_entity(args.of.entity_type, path)?
    } else {
        let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
        args.given(&server).await?
    };
    let operation = Operation::Create(Entity { entity: Some(operation) });
    send(args.of, "create", Mutation { operation: Some(operation), ..Mutation::default() }, &args.write, client).await
}

/// Changes fields of an entity.
pub async fn update(args: FieldArgs<true>, client: &ClientArgs) -> Result<Exit, CliError> {
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let (mut entity, paths) = match args.options.get_one::<PathBuf>(FILE) {
        Some(path) => mutations::read_entity(args.of.entity_type, path)?,
        None => args.given(&server).await?,
    };
    if let Some(name) = args.options.get_one::<String>(NAME) {
        entity.set_id(args.of.id_of(&server, name, Lookup::default()).await?);
    }
    if paths.is_empty() {
        return Err(CliError::Usage("nothing is to be changed: give at least one field".to_owned()));
    }
    let operation = Operation::Update(Entity { entity: Some(entity) });
    let update_mask = Some(FieldMask { paths });
    let mutation = Mutation { update_mask, operation: Some(operation), ..Mutation::default() };
    send(args.of, "update", mutation, &args.write, client).await
}

impl<const UPDATES: bool> FieldArgs<UPDATES> {
    /// The entity of the options, and the fields that were given.
    async fn given(&self, server: &Connection) -> Result<(entity::Entity, Vec<String>), CliError> {
        let document = fields::document(self.of, Self::WHICH, &self.options, server).await?;
        let fields = document.keys().cloned().collect();
        // The options are named as the fields, so that the path that is told is theirs.
        let place = Path::new("the options");
        let text = serde_json::to_string(&document).map_err(anyhow::Error::new)?;
        Ok((mutations::parse_entity(self.of.entity_type, place, &text)?.0, fields))
    }
}

/// Deletes an entity.
pub async fn delete(args: DeleteArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let key = args.key(client, false).await?;
    let mutation = Mutation { etag: args.etag, operation: Some(Operation::Delete(key)), ..Mutation::default() };
    send(args.kind, "delete", mutation, &args.write, client).await
}

/// Takes a soft deletion back.
pub async fn undelete(args: DeleteArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let key = args.key(client, true).await?;
    let mutation = Mutation { etag: args.etag, operation: Some(Operation::Undelete(key)), ..Mutation::default() };
    send(args.kind, "undelete", mutation, &args.write, client).await
}

impl DeleteArgs {
    async fn key(&self, client: &ClientArgs, deleted: bool) -> Result<cqar_proto::v1::EntityKey, CliError> {
        let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
        let id = self.kind.id_of(&server, &self.name, Lookup { deleted, ..Lookup::default() }).await?;
        Ok(cqar_proto::v1::EntityKey { key: Some(convert::key(self.kind.entity_type, id)) })
    }
}

/// Ends a market.
pub async fn delist(args: DelistArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let of = EntityCommands::of(cqar_domain::id::EntityType::Market);
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let market_id = of.id_of(&server, &args.name, Lookup::default()).await?;
    let operation = Operation::Delist(Delisting { market_id, delisted_time: args.at });
    let mutation = Mutation { etag: args.etag, operation: Some(operation), ..Mutation::default() };
    send(of, "delist", mutation, &args.write, client).await
}

/// Sends the one mutation, and shows what it left.
async fn send(
    of: &EntityCommands,
    operation: &str,
    mutation: Mutation,
    write: &WriteArgs,
    client: &ClientArgs,
) -> Result<Exit, CliError> {
    let request = ApplyRequest { mutations: vec![mutation], ..ApplyRequest::default() };
    let answer = apply::send(request, write, client).await.map_err(|error| match error {
        CliError::Answered(status) => CliError::Answered(Box::new(of_one(&status, operation, of))),
        error => error,
    })?;
    let ApplyResponse { results, warnings, changed, revision } = answer;
    rows::warn(&warnings, |path| own_field(path, operation, of));
    let Some(entity) = results.into_iter().next().and_then(|result| result.entity) else { return Ok(Exit::Done) };
    match client.format() {
        OutputFormat::Table => {
            output::table(rows::ENTITY, [rows::entity(&Entity { entity: Some(entity) })])?;
            output::line(&match (write.validate_only, changed) {
                (true, _) => "nothing was committed: --validate-only".to_owned(),
                (false, 0) => format!("nothing changed; revision {revision}"),
                (false, _) => format!("revision {revision}"),
            })?;
            Ok(Exit::Done)
        }
        format => entities::show_any(format, &entity),
    }
}

/// The error with its fields as they are called here.
fn of_one(status: &Status, operation: &str, of: &EntityCommands) -> Status {
    let mut details = status.get_error_details();
    if let Some(mut found) = details.bad_request().cloned() {
        for violation in &mut found.field_violations {
            violation.field = own_field(&violation.field, operation, of);
        }
        details.set_bad_request(found.field_violations);
    }
    if let Some(info) = details.error_info().cloned() {
        let metadata = info.metadata.into_iter().map(|(key, value)| (key, own_field(&value, operation, of)));
        details.set_error_info(info.reason, info.domain, metadata.collect::<HashMap<_, _>>());
    }
    Status::with_error_details(status.code(), own_field(status.message(), operation, of), details)
}

/// A text with fields of the one mutation as they are called here: nobody wrote its index.
fn own_field(text: &str, operation: &str, of: &EntityCommands) -> String {
    text.replace(&format!("mutations[0].{operation}.{}.", of.entity_type), "").replace("mutations[0].", "")
}
