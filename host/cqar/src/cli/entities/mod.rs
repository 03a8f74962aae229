//! What the command line knows of each type of entity: what one may be called, how to get it, and how to list many. One file each;
//! this one lists them.

mod asset;
mod chain;
mod deployment;
mod group;
mod identifier;
mod instrument;
mod labels;
mod market;
mod name;
mod relationship;
mod venue;
mod venue_asset;

use clap::{ArgMatches, Args, Command, FromArgMatches, builder::PossibleValue};
use cqar_domain::{entity::TypedEntity as _, id::EntityType};
use cqar_proto::{convert::EntityMessage, v1::entity::Entity};
use futures::future::BoxFuture;

use super::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::{CliError, Exit},
    output::{self, OutputFormat},
};

pub use self::{
    asset::asset_type,
    deployment::{place, token_standard},
    identifier::external_id,
    labels::Labels,
    market::market_status,
    name::{AtVenue, Find, Lookup},
};

/// Every type of entity.
pub const ENTITIES: [&EntityCommands; EntityType::ALL.len()] = [
    &asset::COMMANDS,
    &chain::COMMANDS,
    &deployment::COMMANDS,
    &venue::COMMANDS,
    &venue_asset::COMMANDS,
    &instrument::COMMANDS,
    &market::COMMANDS,
    &identifier::COMMANDS,
    &relationship::COMMANDS,
    &group::COMMANDS,
];

/// The commands about one type of entity.
#[derive(Debug)]
pub struct EntityCommands {
    /// Which it is.
    pub entity_type: EntityType,
    /// What `cqar get` calls one.
    pub name: &'static str,
    /// What else it may be called there.
    pub name_aliases: &'static [&'static str],
    /// What `cqar list` calls them.
    pub plural: &'static str,
    /// What else they may be called there.
    pub plural_aliases: &'static [&'static str],
    /// What one is, for the help.
    pub described: &'static str,
    /// What many are, for the help.
    pub many_described: &'static str,
    /// Adds the options of `cqar list`.
    pub filters: fn(Command) -> Command,
    /// Looks up the id of what is called something else.
    pub find: Find,
    /// Shows the entity with this id, from a state of at least this revision.
    pub get: for<'a> fn(&'a Connection, String, i64, OutputFormat) -> CommandFuture<'a>,
    /// Lists what the options ask for.
    pub list: for<'a> fn(&'a ArgMatches, &'a ClientArgs) -> CommandFuture<'a>,
}

impl EntityCommands {
    /// Those of a type.
    pub fn of(entity_type: EntityType) -> &'static Self {
        let found = ENTITIES.into_iter().find(|of| of.entity_type == entity_type);
        // A test holds that every type has its commands.
        found.unwrap_or(&asset::COMMANDS)
    }

    /// Its names on the command line.
    pub fn possible_value(&self) -> PossibleValue {
        PossibleValue::new(self.name).aliases(self.name_aliases)
    }

    /// Those that are called so.
    pub fn named(name: &str) -> Option<&'static Self> {
        ENTITIES.into_iter().find(|of| of.name == name || of.name_aliases.contains(&name))
    }
}

/// A command at work.
pub type CommandFuture<'a> = BoxFuture<'a, Result<Exit, CliError>>;

/// How many entities to list, and from where on.
#[derive(Debug, Args)]
struct Paging {
    /// At most so many.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(i32).range(1..))]
    limit: i32,
    /// All of them.
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Go on after the page that gave this token.
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    /// Answer from a state of at least this revision.
    #[arg(long, value_name = "REVISION", default_value_t = 0)]
    min_revision: i64,
}

/// The most that a server gives in one page.
const MAX_PAGE_SIZE: i32 = 1000;

/// Fetches pages until there are as many as asked for, and prints them as one. Where rows show what other entities are called, a closure
/// says which of these a listed one refers to.
macro_rules! list {
    (@table $connection:ident, $items:expr) => {
        $crate::cli::output::table(HEADERS, $items.into_iter().map(row))?
    };
    (@table $connection:ident, $items:expr, $labels:ident of $referred:expr) => {{
        let labels = super::Labels::$labels(&$connection, $items.iter().flat_map($referred)).await?;
        $crate::cli::output::table(HEADERS, $items.into_iter().map(|item| row(item, &labels)))?
    }};
    (
        $args:expr,
        $paging:expr,
        $server:ident.$method:ident,
        $request:expr,
        $response:ident.$items:ident
        $(, $labels:ident of $referred:expr)?
    ) => {{
        let paging = $paging;
        let connection =
            $crate::cli::client::Connection::open($args, Some($crate::cli::client::DEFAULT_TIMEOUT)).await?;
        let mut client = connection.$server();
        let mut request = $request;
        (request.page_token, request.min_revision) = (paging.page_token, paging.min_revision);
        let mut whole = $response { revision: i64::MAX, ..$response::default() };
        let mut wanted = if paging.all { i32::MAX } else { paging.limit };
        loop {
            request.page_size = wanted.min(super::MAX_PAGE_SIZE);
            let page = client.$method(request.clone()).await?.into_inner();
            wanted = wanted.saturating_sub(i32::try_from(page.$items.len()).unwrap_or(i32::MAX));
            whole.$items.extend(page.$items);
            // All of it is at least of the oldest.
            whole.revision = whole.revision.min(page.revision);
            whole.next_page_token.clone_from(&page.next_page_token);
            request.page_token = page.next_page_token;
            if request.page_token.is_empty() || wanted <= 0 {
                break;
            }
        }
        let (shown, more) = (whole.$items.len(), !whole.next_page_token.is_empty());
        if !$args.format().print_named(&whole, whole.$items.iter().map(super::printed_name))? {
            super::list!(@table connection, whole.$items $(, $labels of $referred)?);
        }
        // Those who read JSON or YAML see the token.
        if more && matches!($args.format(), OutputFormat::Table | OutputFormat::Name) {
            eprintln!("{shown} shown, and there are more: --all, or a larger --limit");
        }
        Ok($crate::cli::error::Exit::Done)
    }};
}
use list;

/// The options of `cqar list`, which were parsed.
fn options<O: FromArgMatches>(matches: &ArgMatches) -> Result<O, CliError> {
    O::from_arg_matches(matches).map_err(|error| CliError::Usage(error.to_string()))
}

/// The id of what a filter names; none for none.
async fn id_filter(client: &ClientArgs, entity_type: EntityType, name: &str) -> Result<String, CliError> {
    if name.is_empty() {
        return Ok(String::new());
    }
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    EntityCommands::of(entity_type).id_of(&server, name, Lookup::default()).await
}

/// Shows one entity.
pub fn show<M: EntityMessage>(format: OutputFormat, entity: &M) -> Result<Exit, CliError> {
    if !format.print_named(entity, [printed_name(entity)])? {
        output::pairs(output::fields(entity))?;
    }
    Ok(Exit::Done)
}

/// Shows an entity of any type.
pub fn show_any(format: OutputFormat, entity: &Entity) -> Result<Exit, CliError> {
    if !format.print_named(entity, [printed_name_of(entity)])? {
        output::pairs(output::fields(entity))?;
    }
    Ok(Exit::Done)
}

/// What `--output name` prints of an entity.
pub fn printed_name<M: EntityMessage>(entity: &M) -> String {
    format!("{}/{}", EntityCommands::of(M::Entity::TYPE).name, entity.id())
}

/// The same of an entity of any type.
pub fn printed_name_of(entity: &Entity) -> String {
    format!("{}/{}", EntityCommands::of(entity.entity_type()).name, entity.id())
}

/// A name, of what may be soft-deleted.
fn name_of(name: String, is_deleted: bool) -> String {
    if is_deleted { format!("{name} (deleted)") } else { name }
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}
