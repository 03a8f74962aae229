//! `cqar apply`: mutations from files, all of them or none.

use std::path::PathBuf;

use clap::Args;
use cqar_proto::v1::{ApplyRequest, ApplyResponse};
use uuid::Uuid;

use super::{
    ClientArgs,
    client::{BULK_TIMEOUT, Connection},
    entities,
    error::{CliError, Exit},
    output, rows,
};
use crate::mutations;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar apply -f assets.yaml
  cqar apply -f assets.yaml -f markets.yaml --validate-only
  cqar apply -f fix.json --request-id 019ab3f0-0000-7000-8000-000000000001
  generate-mutations | cqar apply -f -

A file is an ApplyRequest in YAML or JSON. Several files are applied as one request, in their
order; a `ref` names an entity for the mutations after it:

  mutations:
  - ref: abc
    allow_existing: true
    create: {asset: {symbol: ABC, name: Abacus, type: ASSET_TYPE_TOKEN}}
  - create: {venue_asset: {venue_id: binance, code: ABC, asset_id: $abc}}
  - update: {market: {id: 019ab3f0-0000-7000-8000-000000000002, status: MARKET_STATUS_HALTED}}
    reason: the venue halted it
  - delist: {market_id: 019ab3f0-0000-7000-8000-000000000003}
  - delete: {asset_id: 019ab3f0-0000-7000-8000-000000000004}

An update takes the fields that the file has, `is_active: false` too, or those of its `update_mask`.
An error names the mutation and the field: mutations[3].create.market.tick_size.")]
pub struct ApplyArgs {
    /// A file of mutations; `-` is the standard input.
    #[arg(short, long = "file", required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    write: WriteArgs,
}

/// What every write takes.
#[derive(Debug, Clone, Args)]
pub struct WriteArgs {
    /// Run every rule and plugin, and change nothing.
    #[arg(long)]
    pub validate_only: bool,
    /// A UUID of your own: a repeat within 24 hours gets the first answer again.
    #[arg(long, value_name = "UUID", value_parser = request_id, default_value = "", hide_default_value = true)]
    pub request_id: String,
    /// Why, for the log and whoever reads it later.
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
}

/// Applies the files.
pub async fn run(args: ApplyArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let request = mutations::read(&args.files)?;
    let answer = send(request, &args.write, client).await?;
    if !client.format().print_named(&answer, names(&answer))? {
        output::table(rows::ENTITY, answer.results.iter().map(rows::entity))?;
        summarize(&answer, args.write.validate_only)?;
    }
    Ok(Exit::Done)
}

/// What `--output name` prints: an entity for each mutation.
pub fn names(answer: &ApplyResponse) -> impl Iterator<Item = String> {
    answer.results.iter().filter_map(|result| Some(entities::printed_name_of(result.entity.as_ref()?)))
}

/// Sends the mutations as one request.
pub async fn send(
    mut request: ApplyRequest,
    write: &WriteArgs,
    client: &ClientArgs,
) -> Result<ApplyResponse, CliError> {
    let server = Connection::open(client, Some(BULK_TIMEOUT)).await?;
    request.validate_only |= write.validate_only;
    if !write.request_id.is_empty() {
        request.request_id.clone_from(&write.request_id);
    }
    if !write.reason.is_empty() {
        request.reason.clone_from(&write.reason);
    }
    Ok(server.registry().apply(request).await?.into_inner())
}

/// Prints what changed, and what validators warned of.
pub fn summarize(answer: &ApplyResponse, validate_only: bool) -> Result<(), CliError> {
    if !answer.warnings.is_empty() {
        output::table(rows::FINDING, answer.warnings.iter().cloned().map(rows::finding))?;
    }
    let (would, all) = (if validate_only { "would change" } else { "changed" }, answer.results.len());
    output::line(&format!("{all} mutations {would} {} entities; revision {}", answer.changed, answer.revision))?;
    Ok(())
}

/// A UUID, in the form that the contract writes.
fn request_id(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Ok(String::new());
    }
    text.parse::<Uuid>().map(|id| id.to_string()).map_err(|_| "must be a UUID".to_owned())
}
