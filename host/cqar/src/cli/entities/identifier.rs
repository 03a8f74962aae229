//! What others call entities, on the command line.

use clap::Args;
use cqar_domain::{
    entities::identifier::Identified,
    id::{EntityKey, EntityType},
};
use cqar_proto::{
    convert,
    v1::{
        ExternalId, GetIdentifierRequest, IdentifiedEntity, Identifier, ListIdentifiersRequest,
        ListIdentifiersResponse, ResolveIdentifierRequest, identified_entity::Entity as Named,
    },
};

use super::{EntityCommands, Labels, Lookup, Paging, list, options, show, yes};
use crate::cli::{
    ClientArgs,
    client::{Connection, DEFAULT_TIMEOUT},
    error::CliError,
    output::OutputFormat,
};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Identifier,
    name: "identifier",
    name_aliases: &["identifiers"],
    plural: "identifiers",
    plural_aliases: &["identifier"],
    described: "what a source calls an entity: by its id, or coingecko/usd-coin",
    many_described: "what others call entities",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            show(
                format,
                server
                    .identifiers()
                    .get_identifier(GetIdentifierRequest { identifier_id: id, min_revision, at_revision: 0 })
                    .await?
                    .get_ref(),
            )
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { of, source, paging } = options(matches)?;
            let entity = entity_filter(client, &of).await?;
            let request = ListIdentifiersRequest { entity, source, ..Default::default() };
            list!(client, paging, identifiers.list_identifiers, request, ListIdentifiersResponse.identifiers, assets of asset_id)
        })
    },
};

/// A source and its id, `coingecko/usd-coin`.
pub fn external_id(name: &str) -> Result<ExternalId, CliError> {
    let (source, external_id) = name.split_once('/').ok_or_else(|| {
        CliError::Usage(format!("{name:?} is no identifier: give its id, or SOURCE/ID such as coingecko/usd-coin"))
    })?;
    Ok(ExternalId { source: source.to_owned(), external_id: external_id.to_owned() })
}

async fn find(server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
    let external = Some(external_id(name)?);
    let request = ResolveIdentifierRequest { external, min_revision: lookup.min_revision, at_revision: 0 };
    let found = server.identifiers().resolve_identifier(request).await?.into_inner();
    let of_deployment = || CliError::Usage(format!("{name:?} is the id of a deployment, and no identifier of its own"));
    found.identifier.map(|it| it.id).ok_or_else(of_deployment)
}

/// The entity that is called so: its type, and its id or name, `asset/USDC`.
async fn entity_filter(client: &ClientArgs, name: &str) -> Result<Option<IdentifiedEntity>, CliError> {
    if name.is_empty() {
        return Ok(None);
    }
    let unreadable = || CliError::Usage(format!("{name:?} is no entity: give TYPE/NAME such as asset/USDC"));
    let (entity_type, of) = name.split_once('/').ok_or_else(unreadable)?;
    let commands = EntityCommands::named(entity_type).ok_or_else(unreadable)?;
    let server = Connection::open(client, Some(DEFAULT_TIMEOUT)).await?;
    let id = commands.id_of(&server, of, Lookup::default()).await?;
    let key = EntityKey::parse(commands.entity_type, &id).ok().and_then(Identified::of).ok_or_else(unreadable)?;
    Ok(Some((&key).into()))
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this entity: its type, and its id or name, such as asset/USDC.
    #[arg(long, value_name = "TYPE/NAME", default_value = "", hide_default_value = true)]
    of: String,
    /// Only those of this source, such as coingecko.
    #[arg(long, default_value = "", hide_default_value = true)]
    source: String,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 5] = ["SOURCE", "EXTERNAL ID", "PRIMARY", "OF", "ID"];

/// The id of the asset that it names.
fn asset_id(identifier: &Identifier) -> Option<String> {
    match identifier.entity.as_ref()?.entity.as_ref()? {
        Named::AssetId(id) => Some(id.clone()),
        _ => None,
    }
}

fn row(identifier: Identifier, assets: &Labels) -> [String; 5] {
    let Identifier { id, entity, source, external_id, is_primary, .. } = identifier;
    // As `--of` takes it.
    let of = entity.and_then(|it| convert::identified("entity", it).ok()).map(|it| it.key());
    let of = of
        .map(|key| format!("{}/{}", EntityCommands::of(key.entity_type()).name, assets.of(&key.id())))
        .unwrap_or_default();
    [source, external_id, yes(is_primary.unwrap_or_default()), of, id]
}
