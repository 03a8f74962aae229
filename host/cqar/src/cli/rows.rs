//! Entities as rows of a table.

use cqar_proto::v1::{
    Asset, AssetType, Chain, Entity, Finding, Instrument, Market, MarketStatus, Venue, VenueAsset, VenueType,
    entity::Entity as One, finding::Severity, instrument::Terms,
};

use super::output::short;

/// Headers of assets.
pub const ASSET: [&str; 4] = ["ID", "SYMBOL", "TYPE", "NAME"];
/// Headers of chains.
pub const CHAIN: [&str; 4] = ["ID", "CAIP-2", "TESTNET", "NAME"];
/// Headers of venues.
pub const VENUE: [&str; 5] = ["ID", "TYPE", "ACTIVE", "SYMBOLOGY", "NAME"];
/// Headers of venue assets.
pub const VENUE_ASSET: [&str; 4] = ["ID", "VENUE", "CODE", "ASSET"];
/// Headers of instruments.
pub const INSTRUMENT: [&str; 3] = ["ID", "KIND", "CODE"];
/// Headers of markets.
pub const MARKET: [&str; 8] = ["ID", "VENUE", "SEGMENT", "SYMBOL", "STATUS", "TICK", "LOT", "INSTRUMENT"];
/// Headers of entities of any type.
pub const ENTITY: [&str; 4] = ["TYPE", "ID", "NAME", "REVISION"];
/// Headers of findings.
pub const FINDING: [&str; 5] = ["SEVERITY", "PLUGIN", "CODE", "FIELD", "MESSAGE"];

/// A row of [`ASSET`].
pub fn asset(asset: Asset) -> [String; 4] {
    let kind = asset_type(&asset);
    let name = if asset.delete_time.is_some() { format!("{} (deleted)", asset.name) } else { asset.name };
    [asset.id, asset.symbol, kind, name]
}

/// A row of [`CHAIN`].
pub fn chain(chain: Chain) -> [String; 4] {
    [chain.id, chain.caip2, yes(chain.is_testnet), chain.name]
}

/// A row of [`VENUE`].
pub fn venue(venue: Venue) -> [String; 5] {
    let kind = short(VenueType::try_from(venue.r#type).map_or("", |kind| kind.as_str_name()), "VENUE_TYPE_");
    let name = if venue.delete_time.is_some() { format!("{} (deleted)", venue.name) } else { venue.name };
    [venue.id, kind, yes(venue.is_active), venue.symbology, name]
}

/// A row of [`VENUE_ASSET`].
pub fn venue_asset(bound: VenueAsset) -> [String; 4] {
    [bound.id, bound.venue, bound.code, bound.asset]
}

/// A row of [`INSTRUMENT`].
pub fn instrument(instrument: Instrument) -> [String; 3] {
    let kind = match instrument.terms {
        Some(Terms::Spot(_)) => "SPOT",
        Some(Terms::Perpetual(_)) => "PERPETUAL",
        Some(Terms::Future(_)) => "FUTURE",
        Some(Terms::Option(_)) => "OPTION",
        Some(Terms::LendingDeposit(_)) => "LENDING_DEPOSIT",
        Some(Terms::LendingBorrow(_)) => "LENDING_BORROW",
        None => "",
    };
    let code =
        if instrument.delete_time.is_some() { format!("{} (deleted)", instrument.code) } else { instrument.code };
    [instrument.id, kind.to_owned(), code]
}

/// A row of [`MARKET`].
pub fn market(market: Market) -> [String; 8] {
    let status = market_status(&market);
    let Market { id, venue, segment, venue_symbol, tick_size, lot_size, instrument, .. } = market;
    [id, venue, segment, venue_symbol, status, tick_size, lot_size, instrument]
}

/// A row of [`ENTITY`].
pub fn entity(entity: &Entity) -> [String; 4] {
    let (kind, id, revision) = match &entity.entity {
        None => ("", "", 0),
        Some(One::Asset(asset)) => ("asset", asset.id.as_str(), asset.revision),
        Some(One::Chain(chain)) => ("chain", chain.id.as_str(), chain.revision),
        Some(One::Venue(venue)) => ("venue", venue.id.as_str(), venue.revision),
        Some(One::VenueAsset(bound)) => ("venue_asset", bound.id.as_str(), bound.revision),
        Some(One::Instrument(instrument)) => ("instrument", instrument.id.as_str(), instrument.revision),
        Some(One::Market(market)) => ("market", market.id.as_str(), market.revision),
    };
    [kind.to_owned(), id.to_owned(), name(entity).to_owned(), revision.to_string()]
}

/// What people call an entity: its symbol, code or name.
pub fn name(entity: &Entity) -> &str {
    match &entity.entity {
        None => "",
        Some(One::Asset(asset)) => &asset.symbol,
        Some(One::Chain(chain)) => &chain.name,
        Some(One::Venue(venue)) => &venue.name,
        Some(One::VenueAsset(bound)) => &bound.code,
        Some(One::Instrument(instrument)) => &instrument.code,
        Some(One::Market(market)) => &market.venue_symbol,
    }
}

/// A row of [`FINDING`].
pub fn finding(finding: Finding) -> [String; 5] {
    let severity =
        short(Severity::try_from(finding.severity).map_or("", |severity| severity.as_str_name()), "SEVERITY_");
    [severity, finding.plugin, finding.code, finding.path, finding.message]
}

/// `COIN`, `TOKEN` …
pub fn asset_type(asset: &Asset) -> String {
    short(AssetType::try_from(asset.r#type).map_or("", |kind| kind.as_str_name()), "ASSET_TYPE_")
}

/// `ACTIVE`, `HALTED` …
pub fn market_status(market: &Market) -> String {
    short(MarketStatus::try_from(market.status).map_or("", |status| status.as_str_name()), "MARKET_STATUS_")
}

fn yes(flag: bool) -> String {
    if flag { "yes" } else { "no" }.to_owned()
}
