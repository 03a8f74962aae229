//! Instruments on the command line.

use clap::Args;
use cqar_proto::v1::{
    GetInstrumentRequest, Instrument, InstrumentKind, ListInstrumentsRequest, ListInstrumentsResponse,
    get_instrument_request::Key, instrument::Terms,
};

use super::{EntityCommands, Paging, list, name_of, options, show};
use crate::cli::parse_value;

/// The commands.
pub const COMMANDS: EntityCommands = EntityCommands {
    name: "instrument",
    name_aliases: &["instruments"],
    plural: "instruments",
    plural_aliases: &["instrument"],
    about: "Lists instruments",
    filters: Filters::augment_args,
    get: |server, id, min_revision, format| {
        Box::pin(async move {
            // Every canonical code has one of these, and no id has.
            let key = if id.contains(['/', ':']) { Key::Code(id) } else { Key::InstrumentId(id) };
            let request = GetInstrumentRequest { key: Some(key), min_revision, at_revision: 0 };
            show(format, server.instruments().get_instrument(request).await?)
        })
    },
    list: |matches, client| {
        Box::pin(async move {
            let Filters { kind, base, quote, show_deleted, paging } = options(matches)?;
            let request = ListInstrumentsRequest {
                kind: kind.unwrap_or_default(),
                base_asset_id: base,
                quote_asset_id: quote,
                show_deleted,
                ..Default::default()
            };
            list!(client, paging, instruments.list_instruments, request, ListInstrumentsResponse.instruments)
        })
    },
};

#[derive(Debug, Args)]
struct Filters {
    /// Only those of this kind, such as perpetual.
    #[arg(long, value_parser = read_kind)]
    kind: Option<i32>,
    /// Only those whose base is the asset with this id.
    #[arg(long, default_value = "", hide_default_value = true)]
    base: String,
    /// Only those whose quote is the asset with this id.
    #[arg(long, default_value = "", hide_default_value = true)]
    quote: String,
    /// Soft-deleted ones too.
    #[arg(long)]
    show_deleted: bool,
    #[command(flatten)]
    paging: Paging,
}

const HEADERS: [&str; 3] = ["ID", "KIND", "CODE"];

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
    [instrument.id, kind.to_owned(), code]
}

fn read_kind(text: &str) -> Result<i32, String> {
    let name = |value| InstrumentKind::try_from(value).ok().map(|kind| kind.as_str_name());
    parse_value(text, "INSTRUMENT_KIND_", InstrumentKind::from_str_name, name)
}
