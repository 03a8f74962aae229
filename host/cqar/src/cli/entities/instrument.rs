//! Instruments on the command line.

use clap::Args;
use cqar_domain::id::EntityType;
use cqar_proto::v1::{
    GetInstrumentRequest, Instrument, InstrumentKind, ListInstrumentsRequest, ListInstrumentsResponse,
    get_instrument_request::Key, instrument::Terms,
};

use super::{EntityCommands, Lookup, Paging, id_filter, list, name_of, options, show};
use crate::cli::{client::Connection, error::CliError, output::OutputFormat, parse_value};

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    entity_type: EntityType::Instrument,
    name: "instrument",
    name_aliases: &["instruments"],
    plural: "instruments",
    plural_aliases: &["instrument"],
    described: "an instrument",
    many_described: "instruments",
    filters: Filters::augment_args,
    find: |server, name, lookup| Box::pin(find(server, name, lookup)),
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            let key = Some(Key::InstrumentId(id));
            let request = GetInstrumentRequest { key, min_revision, at_revision: 0 };
            show(format, server.instruments().get_instrument(request).await?.get_ref())
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let filters: Filters = options(matches)?;
            let Filters { kind, show_deleted, paging, .. } = filters;
            let request = ListInstrumentsRequest {
                kind: kind.unwrap_or_default(),
                base_asset_id: id_filter(client, EntityType::Asset, &filters.base).await?,
                quote_asset_id: id_filter(client, EntityType::Asset, &filters.quote).await?,
                settle_asset_id: id_filter(client, EntityType::Asset, &filters.settle).await?,
                min_expiry_date: filters.min_expiry,
                max_expiry_date: filters.max_expiry,
                min_strike: filters.min_strike,
                max_strike: filters.max_strike,
                show_deleted,
                ..Default::default()
            };
            list!(client, paging, instruments.list_instruments, request, ListInstrumentsResponse.instruments)
        })
    },
};

/// By its canonical code.
async fn find(server: &Connection, code: &str, lookup: Lookup) -> Result<String, CliError> {
    if lookup.deleted {
        // Codes are those of instruments that are there.
        let remedy = "a deleted instrument is named by its id: see `cqar list instruments --show-deleted`";
        return Err(CliError::Usage(remedy.to_owned()));
    }
    let key = Some(Key::Code(code.to_owned()));
    let request = GetInstrumentRequest { key, min_revision: lookup.min_revision, at_revision: 0 };
    Ok(server.instruments().get_instrument(request).await?.into_inner().id)
}

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this kind, such as perpetual.
    #[arg(long, value_parser = read_kind)]
    kind: Option<i32>,
    /// Only those whose base is this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    base: String,
    /// Only those whose quote is this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    quote: String,
    /// Only those that settle in this asset: its id, or its symbol.
    #[arg(long, default_value = "", hide_default_value = true)]
    settle: String,
    /// Only those that expire on this day or later, such as 2026-12-25.
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    min_expiry: String,
    /// Only those that expire on this day or earlier.
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    max_expiry: String,
    /// Only options of this strike or a higher one.
    #[arg(long, value_name = "PRICE", default_value = "", hide_default_value = true)]
    min_strike: String,
    /// Only options of this strike or a lower one.
    #[arg(long, value_name = "PRICE", default_value = "", hide_default_value = true)]
    max_strike: String,
    /// Soft-deleted ones too.
    #[arg(long)]
    show_deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 3] = ["CODE", "KIND", "ID"];

fn row(instrument: Instrument) -> [String; 3] {
    let kind = match instrument.terms {
        Some(Terms::Spot(_)) => "SPOT",
        Some(Terms::Perpetual(_)) => "PERPETUAL",
        Some(Terms::Future(_)) => "FUTURE",
        Some(Terms::Option(_)) => "OPTION",
        Some(Terms::LendingDeposit(_)) => "LENDING_DEPOSIT",
        Some(Terms::LendingBorrow(_)) => "LENDING_BORROW",
        None => "",
    };
    let code = name_of(instrument.code, instrument.delete_time.is_some());
    [code, kind.to_owned(), instrument.id]
}

fn read_kind(text: &str) -> Result<i32, String> {
    let name = |value| InstrumentKind::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "INSTRUMENT_KIND_", InstrumentKind::from_str_name, name)
}
