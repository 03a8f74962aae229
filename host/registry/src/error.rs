//! Why a use case did not do what it was asked. The contract's statuses and reasons are made of these, in one place, by
//! `cqar-api`.

use std::{fmt::Display, sync::Arc};

use cqar_domain::{
    code::Code,
    entity::Revision,
    finding::Finding,
    id::{AssetId, ChainId, EntityKey, EntityType, InstrumentId, MarketId, Segment, VenueAssetId, VenueId},
    time::{Interval, Timestamp},
    violation::Violation,
};

/// Why a call was refused or failed. `field` is the path of the input that the refusal speaks of: `mutations[3].create.asset`
/// in an `Apply`, empty where the call has only one subject.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Fields break rules of the core.
    #[error("{}", summary(.0))]
    Invalid(Vec<Violation>),
    /// A validator found errors; fields as in [`Error::Invalid`].
    #[error("{}", refusal(.0))]
    RejectedByValidator(Vec<(String, Finding)>),
    /// There is no such entity.
    #[error("there is no {key}")]
    NotFound {
        /// Where it was named.
        field: String,
        /// What was asked for.
        key: EntityKey,
    },
    /// The entity is deleted, and takes neither changes nor new references.
    #[error("{key} is deleted; undelete it first")]
    Deleted {
        /// Where it was named.
        field: String,
        /// The entity.
        key: EntityKey,
    },
    /// An entity has the id or the unique key already.
    #[error("{}", already_exists(existing, *deleted))]
    AlreadyExists {
        /// What collides.
        field: String,
        /// Who has it.
        existing: EntityKey,
        /// Whether that one is deleted, and could be undeleted.
        deleted: bool,
    },
    /// The etag is not the current one.
    #[error("{key} changed meanwhile: the current etag is {current}")]
    StaleEtag {
        /// Where it was given.
        field: String,
        /// The entity.
        key: EntityKey,
        /// Its etag now.
        current: String,
    },
    /// Others refer to what was to be deleted.
    #[error("{key} is referred to by {}", names(referrers))]
    StillReferenced {
        /// Where it was named.
        field: String,
        /// The entity.
        key: EntityKey,
        /// Up to ten of those that refer to it.
        referrers: Vec<EntityKey>,
    },
    /// Something referred to what was to be deleted, and entities of its type are kept after that.
    #[error("{key} was referred to before, so that its id is never used again: deprecate it instead")]
    OnceReferenced {
        /// Where it was named.
        field: String,
        /// The entity.
        key: EntityKey,
    },
    /// No market has, or ever had, the symbol.
    #[error("no market of {venue} has, or had, the symbol {symbol:?}{}{}", in_segment(segment.as_ref()), elsewhere_in(elsewhere))]
    SymbolUnknown {
        /// The venue.
        venue: VenueId,
        /// The symbol.
        symbol: String,
        /// The segment that was asked for.
        segment: Option<Segment>,
        /// The other segments in which a market has, or had, it.
        elsewhere: Vec<Segment>,
    },
    /// A market has the symbol, at another time.
    #[error("{symbol:?} of {venue} was not live at {at}, but {}", intervals(live))]
    SymbolNotLive {
        /// The venue.
        venue: VenueId,
        /// The symbol.
        symbol: String,
        /// The instant that was asked for.
        at: Timestamp,
        /// Which markets had it, and when.
        live: Vec<(MarketId, Interval)>,
    },
    /// Several live markets fit.
    #[error("{what} is ambiguous: {}; name the segment", choices(candidates))]
    AmbiguousSymbol {
        /// The symbol, or what was to be formatted.
        what: String,
        /// All that fit.
        candidates: Vec<Candidate>,
    },
    /// Several instruments have the code.
    #[error("{code} is the code of several instruments: {}", names(candidates))]
    AmbiguousCode {
        /// The code.
        code: String,
        /// All of them.
        candidates: Vec<EntityKey>,
    },
    /// No instrument has the code.
    #[error("no instrument has the code {code:?}{why}", code = .0, why = malformed_code(.0))]
    CodeUnknown(String),
    /// Nothing that is registered has the key.
    #[error(transparent)]
    Unresolved(Box<Unresolved>),
    /// The instrument trades at the venue at no, or at another, time.
    #[error("{code} has no live market at {venue}{}", in_segment(segment.as_ref()))]
    NotListed {
        /// The instrument.
        instrument_id: InstrumentId,
        /// Its canonical code.
        code: String,
        /// The venue.
        venue: VenueId,
        /// The segment that was asked for.
        segment: Option<Segment>,
    },
    /// The instrument has more markets than one answer holds.
    #[error(
        "instrument {instrument} has more than {limit} markets; list them page by page, or name venues if those are live"
    )]
    TooManyMarkets {
        /// The instrument.
        instrument: InstrumentId,
        /// The most that one answer holds.
        limit: usize,
    },
    /// The asset has more variants, or more ways to them, than one answer is made of.
    #[error(
        "asset {asset} has more than {} relationships, or {} ways to its variants; ask for a smaller depth",
        crate::variants::MAX_RELATIONSHIPS,
        crate::variants::MAX_PATHS
    )]
    TooManyVariants {
        /// The asset.
        asset: AssetId,
    },
    /// The request id was used for another request.
    #[error("request_id was used before for a request with another body")]
    RequestIdReused,
    /// The request was answered before, and its answer was too large to be kept.
    #[error(
        "the request was carried out before, in revision {revision}, and its answer was too large to be kept: \
         read that revision by EventService.Watch, or get what the request names"
    )]
    AnswerNotKept {
        /// The revision of the answer.
        revision: Revision,
    },
    /// The registry kept changing while the write was judged.
    #[error("the registry kept changing while the write was judged; try again")]
    Contended,
    /// The entities of one request, or of its answer, are too large together.
    #[error(
        "the entities that the request is about have {bytes} bytes together, and may have {limit}; ask for fewer, or send it in parts"
    )]
    TooManyBytes {
        /// What they have.
        bytes: usize,
        /// The most.
        limit: usize,
    },
    /// Each time that what validators refused was left out, they refused more.
    #[error("validators refused more of the write in each of {rounds} rounds; the last refusal: {last}")]
    RefusedTooOften {
        /// How often what was left was judged.
        rounds: usize,
        /// By whom, what and why.
        last: String,
    },
    /// The caller left before the write began. Nobody is told.
    #[error("the caller left before the write began; nothing was written")]
    CallerLeft,
    /// A newer listing was imported.
    #[error(
        "a listing of {venue}{} as of {newest} was imported already, and this one is of {observed}; --backfill adds what is absent",
        in_segment(Some(segment))
    )]
    StaleListing {
        /// The venue.
        venue: VenueId,
        /// The segment.
        segment: Segment,
        /// The newest imported moment.
        newest: Timestamp,
        /// The moment of this one.
        observed: Timestamp,
    },
    /// A plugin that the call needs is not there.
    #[error("plugin {plugin} is not serving: {reason}")]
    PluginNotServing {
        /// Its name.
        plugin: String,
        /// Why.
        reason: String,
    },
    /// A plugin's call did not end well.
    #[error("plugin {plugin} failed: {reason}")]
    PluginFailed {
        /// Its name.
        plugin: String,
        /// How.
        reason: String,
    },
    /// No file of such a plugin was seen.
    #[error("no file of a plugin {plugin:?} was seen")]
    PluginNotFound {
        /// Its name.
        plugin: String,
    },
    /// A plugin may not be operated so.
    #[error("plugin {plugin}: {reason}")]
    PluginOperationRefused {
        /// Its name.
        plugin: String,
        /// What to change first.
        reason: String,
    },
    /// This replica has not reached the revision in time.
    #[error("this server has reached revision {applied}, not yet {wanted}")]
    RevisionNotReached {
        /// What was asked for.
        wanted: Revision,
        /// How far it is.
        applied: Revision,
    },
    /// The database is away, or failed.
    #[error(transparent)]
    Store(Arc<cqar_store::Error>),
}

/// A key by which nothing is registered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// No entity of the type has the name.
    #[error("there is no {0} {1:?}")]
    Name(EntityType, String),
    /// No chain has the CAIP-2 id.
    #[error("no chain has the CAIP-2 id {0:?}")]
    Caip2(String),
    /// Nothing is registered at the address.
    #[error("nothing is registered at {address} of chain {chain}")]
    Deployment {
        /// The chain.
        chain: ChainId,
        /// The address as the chain spells it.
        address: String,
    },
    /// The venue knows nothing by the code.
    #[error("{venue} knows nothing by the code {code:?}{}", in_segment(segment.as_ref()))]
    VenueAsset {
        /// The venue.
        venue: VenueId,
        /// The code.
        code: String,
        /// The segment that was asked for.
        segment: Option<Segment>,
    },
    /// The venue knows several assets by the code, in several segments.
    #[error("{code:?} of {venue} is ambiguous: {}; name the segment", segments(candidates))]
    AmbiguousVenueAsset {
        /// The venue.
        venue: VenueId,
        /// The code.
        code: String,
        /// All of them.
        candidates: Vec<VenueAssetCandidate>,
    },
    /// The asset does not move by the network there.
    #[error("{code:?} of {venue} moves by no network {network:?}; there are: {}", known.join(", "))]
    Network {
        /// The venue.
        venue: VenueId,
        /// The code.
        code: String,
        /// The network.
        network: String,
        /// The networks that there are.
        known: Vec<String>,
    },
    /// Nothing is called so.
    #[error("nothing that is registered is called {external_id:?} by {source_name}")]
    Identifier {
        /// Who calls it so.
        source_name: String,
        /// What it is called.
        external_id: String,
    },
    /// Nothing has the CAIP-19 id.
    #[error("nothing that is registered has the CAIP-19 id {0:?}")]
    Caip19(String),
}

impl Unresolved {
    /// The bytes of its texts, about.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Name(_, text) | Self::Caip2(text) | Self::Caip19(text) => text.len(),
            Self::Deployment { chain, address } => chain.as_str().len() + address.len(),
            Self::VenueAsset { venue, code, .. } => venue.as_str().len() + code.len(),
            Self::AmbiguousVenueAsset { venue, code, candidates } => {
                venue.as_str().len() + code.len() + candidates.len() * (size_of::<VenueAssetCandidate>() + MAX_SEGMENT)
            }
            Self::Network { venue, code, network, known } => {
                let known: usize = known.iter().map(|it| it.len() + size_of::<String>()).sum();
                venue.as_str().len() + code.len() + network.len() + known
            }
            Self::Identifier { source_name, external_id } => source_name.len() + external_id.len(),
        }
    }
}

/// A segment is a slug.
const MAX_SEGMENT: usize = 64;

/// One of several assets that a venue knows by a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VenueAssetCandidate {
    /// The venue asset.
    pub venue_asset: VenueAssetId,
    /// Its segment, by which a caller tells them apart.
    pub segment: Segment,
    /// Its asset.
    pub asset: AssetId,
}

/// One of several markets that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The market.
    pub market: MarketId,
    /// Its segment, by which a caller tells them apart.
    pub segment: Segment,
    /// Its symbol.
    pub venue_symbol: String,
    /// Its instrument's canonical code.
    pub code: String,
}

impl From<cqar_store::Error> for Error {
    fn from(error: cqar_store::Error) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl Error {
    /// One field that breaks a rule.
    pub(crate) fn invalid(field: impl Into<String>, code: &str, message: impl Display) -> Self {
        Self::Invalid(vec![Violation { field: field.into(), code: code.to_owned(), message: message.to_string() }])
    }
}

fn summary(violations: &[Violation]) -> String {
    let more = violations.len().saturating_sub(1);
    match (violations.first(), more) {
        (None, _) => String::from("the request is invalid"),
        (Some(first), 0) => first.to_string(),
        (Some(first), more) => format!("{first} (and {more} more)"),
    }
}

fn refusal(findings: &[(String, Finding)]) -> String {
    let more = findings.len().saturating_sub(1);
    let Some((field, first)) = findings.first() else { return String::from("a validator refused the write") };
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    format!("{} refused {field}: {}{more}", first.plugin, first.message)
}

fn already_exists(existing: &EntityKey, deleted: bool) -> String {
    if deleted {
        format!("{existing} exists, deleted: undelete it instead")
    } else {
        format!("{existing} exists already")
    }
}

fn in_segment(segment: Option<&Segment>) -> String {
    segment
        .filter(|segment| !segment.as_str().is_empty())
        .map(|segment| format!(" in segment {segment}"))
        .unwrap_or_default()
}

/// What is wrong with the code itself, if anything.
fn malformed_code(code: &str) -> String {
    code.parse::<Code>().err().map(|error| format!(", and none can: {error}")).unwrap_or_default()
}

fn segments(candidates: &[VenueAssetCandidate]) -> String {
    let names: Vec<String> =
        candidates.iter().map(|it| format!("asset {} in segment {}", it.asset, it.segment.quoted())).collect();
    names.join(", ")
}

fn elsewhere_in(segments: &[Segment]) -> String {
    let names: Vec<&str> = segments.iter().map(Segment::quoted).collect();
    if names.is_empty() { String::new() } else { format!("; segments that have it: {}", names.join(", ")) }
}

fn intervals(live: &[(MarketId, Interval)]) -> String {
    let live: Vec<String> = live.iter().map(|(_, interval)| interval.to_string()).collect();
    live.join(" and ")
}

fn names(keys: &[EntityKey]) -> String {
    let names: Vec<String> = keys.iter().map(ToString::to_string).collect();
    names.join(", ")
}

fn choices(candidates: &[Candidate]) -> String {
    let name = |it: &Candidate| match it.segment.as_str() {
        "" => format!("{} ({})", it.code, it.venue_symbol),
        segment => format!("{} in segment {segment}", it.code),
    };
    let names: Vec<String> = candidates.iter().map(name).collect();
    names.join(", ")
}
