//! What people call entities, instead of their ids: `BTC`, `BTC/USDT:USDT`, `binance/spot/BTCUSDT`. A name of several is never taken for
//! one of them.

use cqar_domain::id::Segment;
use futures::future::BoxFuture;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use uuid::Uuid;

use super::EntityCommands;
use crate::cli::{client::Connection, error::CliError};

/// Looks the id up.
pub type Find = for<'a> fn(&'a Connection, &'a str, Lookup) -> BoxFuture<'a, Result<String, CliError>>;

/// Which of the entities that have a name are meant, and from which state.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lookup {
    /// Those that were soft-deleted; else the others, and a deleted one only if no other has the name.
    pub deleted: bool,
    /// From a state of at least this revision.
    pub min_revision: i64,
}

/// So many candidates are named.
const SHOWN: usize = 10;

impl EntityCommands {
    /// The id of the entity that is called so: its id, its name, or what `--output name` prints.
    pub async fn id_of(&self, server: &Connection, name: &str, lookup: Lookup) -> Result<String, CliError> {
        let name = match name.strip_prefix(self.name).and_then(|rest| rest.strip_prefix('/')) {
            Some(id) if self.is_id(id) => id,
            _ => name,
        };
        if self.is_id(name) { Ok(name.to_owned()) } else { (self.find)(server, name, lookup).await }
    }

    fn is_id(&self, text: &str) -> bool {
        if self.entity_type.has_uuid() { text.parse::<Uuid>().is_ok() } else { !text.contains([':', '/']) }
    }
}

/// An entity that may be meant.
pub struct Candidate {
    pub id: String,
    /// What tells it from the others.
    pub described: String,
    pub is_deleted: bool,
}

/// The one that is meant.
pub fn one(kind: &str, name: &str, candidates: Vec<Candidate>, lookup: Lookup) -> Result<String, CliError> {
    let (deleted, living): (Vec<Candidate>, Vec<Candidate>) = candidates.into_iter().partition(|it| it.is_deleted);
    let meant = if lookup.deleted || living.is_empty() { deleted } else { living };
    match meant.as_slice() {
        [] => Err(Status::not_found(format!("there is no {kind} {name:?}; names match exactly, case included")).into()),
        [one] => Ok(one.id.clone()),
        several => Err(ambiguous(kind, name, several)),
    }
}

fn ambiguous(kind: &str, name: &str, candidates: &[Candidate]) -> CliError {
    let mut details = ErrorDetails::new();
    for candidate in candidates.iter().take(SHOWN) {
        details.add_precondition_failure_violation("CANDIDATE", &candidate.id, &candidate.described);
    }
    let message = format!("{} {kind}s are called {name:?}; take one by its id", candidates.len());
    Status::with_error_details(Code::FailedPrecondition, message, details).into()
}

/// A symbol, or a code, at a venue.
#[derive(Debug, PartialEq, Eq)]
pub struct AtVenue<'a> {
    pub venue: &'a str,
    /// None is any.
    pub segment: Option<&'a str>,
    pub symbol: &'a str,
}

impl<'a> AtVenue<'a> {
    /// `binance/spot/BTCUSDT`, `kraken/XBT/USD` in whichever segment, `coinbase//BTC-USD` in none. What can be read in two ways is read in
    /// both: symbols may look like segments.
    pub fn readings(name: &'a str) -> Vec<Self> {
        let Some((venue, rest)) = name.split_once('/') else { return Vec::new() };
        let whole = (!rest.is_empty()).then_some(Self { venue, segment: None, symbol: rest });
        let parts = rest.split_once('/').filter(|(segment, symbol)| {
            !symbol.is_empty() && (segment.is_empty() || segment.parse::<Segment>().is_ok())
        });
        let parts = parts.map(|(segment, symbol)| Self { venue, segment: Some(segment), symbol });
        parts.into_iter().chain(whole).collect()
    }

    /// What is wrong with a name that has no reading.
    pub fn unreadable(kind: &str, name: &str) -> CliError {
        CliError::Usage(format!(
            "{name:?} is no {kind}: give its id, or VENUE/SEGMENT/SYMBOL such as binance/spot/BTCUSDT"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_symbol_at_a_venue_is_read_in_every_way_that_it_can_be() {
        let read = |name| AtVenue::readings(name).into_iter().map(|it| (it.segment, it.symbol)).collect::<Vec<_>>();
        assert_eq!(read("binance/spot/BTCUSDT"), [(Some("spot"), "BTCUSDT"), (None, "spot/BTCUSDT")]);
        assert_eq!(read("kraken/XBT/USD"), [(None, "XBT/USD")]);
        assert_eq!(read("coinbase//BTC-USD"), [(Some(""), "BTC-USD"), (None, "/BTC-USD")]);
        assert_eq!(read("binance/BTCUSDT"), [(None, "BTCUSDT")]);
        assert_eq!(read("binance/"), []);
        assert_eq!(read("binance"), []);
    }

    #[test]
    fn a_name_of_several_is_refused_with_all_of_them() {
        let candidate = |id: &str, is_deleted| Candidate { id: id.into(), described: "META".into(), is_deleted };
        let both = || vec![candidate("a", false), candidate("b", false), candidate("c", true)];
        let said = one("asset", "META", both(), Lookup::default()).unwrap_err();
        assert_eq!(said.exit() as u8, 5);
        let CliError::Answered(status) = said else { panic!() };
        let details = status.get_error_details();
        assert_eq!(details.precondition_failure().unwrap().violations.len(), 2);
        assert_eq!(one("asset", "META", both(), Lookup { deleted: true, ..Lookup::default() }).unwrap(), "c");
        assert_eq!(one("asset", "META", Vec::new(), Lookup::default()).unwrap_err().exit() as u8, 3);
    }
}
