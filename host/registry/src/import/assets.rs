//! What a venue's codes mean. Nothing is guessed: a code means what it was bound to, or the one asset that it can mean.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use cqar_domain::{
    entities::{
        Entity,
        asset::{Asset, AssetType},
        venue_asset::VenueAsset,
    },
    entity::Meta,
    id::{AssetId, EntityKey, IdSource, Segment, VenueAssetId, VenueId},
    mutation::Mutation,
    unique_key::UniqueKey,
};
use cqar_store::Snapshot;

use super::hints::{AssetClass, CodeHints, Hints};

/// A code in a segment of the venue.
pub(super) type SegmentCode = (Segment, String);

/// A venue's codes, and what the plugin makes of them.
#[derive(Debug)]
pub(super) struct VenueCodes {
    /// By the segment in which they are bound: the default where a code stands for one symbol in all segments.
    codes: BTreeMap<SegmentCode, VenueCode>,
    /// Codes by which only coverage is said: they are looked up, and bound by nothing.
    of_coverage: BTreeSet<SegmentCode>,
    /// The codes of the rows, each in the segments in which it is listed.
    listed: BTreeSet<SegmentCode>,
}

#[derive(Debug)]
struct VenueCode {
    /// The symbol that the code usually stands for; none if it cannot be an asset's.
    symbol: Option<String>,
    /// What the listing says of it.
    hints: Hints,
    /// The ids of what may be created for it: the same in every draft.
    asset: AssetId,
    binding: VenueAssetId,
}

/// How far a listing is trusted.
#[derive(Debug, Clone, Copy)]
pub(super) struct AssetMatchOptions {
    /// Create what nothing knows.
    pub(super) create_missing: bool,
    /// Match what another venue's listing created.
    pub(super) symbols: bool,
}

/// What codes mean in one state of the registry.
pub(super) struct CodeMappings<'a> {
    codes: &'a VenueCodes,
    venue: &'a VenueId,
    asset_match: AssetMatchOptions,
    bound: HashMap<SegmentCode, Arc<Asset>>,
    /// The undeleted assets by symbol.
    named: HashMap<String, Vec<Asset>>,
    /// Those of them that the venue has a code for.
    own: HashSet<AssetId>,
}

/// What a code means to a market that is there.
pub(super) enum Meaning<'a> {
    /// It is bound.
    Bound(&'a Asset),
    /// It is not, and usually stands for this symbol.
    Symbol(&'a str, &'a Hints),
    /// Nothing.
    Nothing,
}

/// Why a venue's asset code cannot be mapped to an asset.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UnmappedCode {
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) candidates: Vec<AssetId>,
}

/// A binding that the import makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CodeBinding {
    /// In which part of the venue; the default for all of them.
    pub(super) segment: Segment,
    pub(super) code: String,
    pub(super) asset: AssetId,
    pub(super) symbol: String,
    pub(super) created: bool,
}

impl VenueCodes {
    pub(super) fn new(
        codes: Vec<SegmentCode>,
        symbols: Vec<Option<String>>,
        hints: &CodeHints,
        of_coverage: BTreeSet<SegmentCode>,
        ids: &dyn IdSource,
    ) -> Self {
        let listed = codes.iter().cloned().collect();
        let mut of_code: BTreeMap<String, Vec<(Segment, Option<String>, Hints)>> = BTreeMap::new();
        for ((segment, code), symbol) in codes.into_iter().zip(symbols) {
            let hints = hints.of(&segment, &code);
            of_code.entry(code).or_default().push((segment, symbol, hints));
        }
        let mut codes = BTreeMap::new();
        // Two codes of one symbol are one asset.
        let mut assets: HashMap<(Option<String>, AssetType, Option<String>), AssetId> = HashMap::new();
        for (code, meanings) in of_code {
            let is_told_apart = meanings.iter().any(|(segment, ..)| hints.tells_segment(segment, &code));
            let is_one = !is_told_apart
                && meanings.windows(2).all(|two| match two {
                    [(_, symbol, hints), (_, other_symbol, other_hints)] => {
                        let is_apart = hints.is_apart() || other_hints.is_apart();
                        symbol == other_symbol && (!is_apart || hints == other_hints)
                    }
                    _ => true,
                });
            for (segment, symbol, hints) in meanings {
                let segment = if is_one { Segment::default() } else { segment };
                let class = hints.class;
                let entry = codes.entry((segment, code.clone())).or_insert_with(|| {
                    let name = hints.name.clone().filter(|_| !is_one);
                    let made = assets.entry((symbol.clone(), hints.asset_type(), name));
                    let asset = *made.or_insert_with(|| AssetId::new(ids));
                    VenueCode { symbol, hints, asset, binding: VenueAssetId::new(ids) }
                });
                entry.hints.class = entry.hints.class.or(class);
            }
        }
        Self { codes, of_coverage, listed }
    }

    /// The code as it would be bound.
    fn entry(&self, segment: &Segment, code: &str) -> Option<(&Segment, &VenueCode)> {
        let of = |segment: &Segment| self.codes.get_key_value(&(segment.clone(), code.to_owned()));
        of(segment).or_else(|| of(&Segment::default())).map(|((segment, _), entry)| (segment, entry))
    }

    pub(super) async fn mappings<'a>(
        &'a self,
        reads: &mut Snapshot,
        venue: &'a VenueId,
        asset_match: AssetMatchOptions,
    ) -> Result<CodeMappings<'a>, cqar_store::Error> {
        let everywhere = Segment::default();
        let codes = self.listed.iter().chain(&self.of_coverage);
        let keys_of = |(segment, code): &SegmentCode| {
            [segment, &everywhere].map(|segment| VenueAsset::code_key(venue, segment, code))
        };
        let keys: BTreeSet<UniqueKey> = codes.flat_map(keys_of).collect();
        let bound = reads.with_unique_keys(&keys.into_iter().collect::<Vec<_>>()).await?.into_values();
        let bindings: Vec<VenueAsset> = bound.filter_map(|it| it.try_into().ok()).collect();
        let assets: Vec<EntityKey> = bindings.iter().map(|it| EntityKey::Asset(it.asset_id)).collect();
        let assets = reads.entities(&assets).await?;
        let bound = bindings.into_iter().zip(assets).filter_map(|(binding, asset)| match asset {
            Some(Entity::Asset(asset)) => Some(((binding.segment, binding.code), asset)),
            _ => None,
        });
        let bound = bound.collect();
        let symbols: BTreeSet<String> = self.codes.values().filter_map(|code| code.symbol.clone()).collect();
        let mut named: HashMap<String, Vec<Asset>> = HashMap::new();
        for asset in reads.assets_with_symbols(&symbols.into_iter().collect::<Vec<_>>()).await? {
            if asset.meta.delete_time.is_none() {
                named.entry(asset.symbol.clone()).or_default().push(asset);
            }
        }
        let ids: Vec<AssetId> = named.values().flatten().map(|asset| asset.id).collect();
        let own = reads.venue_assets_of(venue, &ids).await?.into_iter().map(|it| it.asset_id).collect();
        Ok(CodeMappings { codes: self, venue, asset_match, bound, named, own })
    }
}

impl CodeMappings<'_> {
    /// What the code means to a market that is there, whatever could be bound for it.
    pub(super) fn meaning(&self, segment: &Segment, code: &str) -> Result<Meaning<'_>, UnmappedCode> {
        let entry = self.codes.entry(segment, code).map(|(_, entry)| entry);
        if let Some(asset) = self.bound_asset(segment, code) {
            return match entry.and_then(|entry| entry.hints.contradiction(asset.asset_type)) {
                Some(classes) => Err(contradicted(code, asset, classes)),
                None => Ok(Meaning::Bound(asset)),
            };
        }
        let symbol = entry.and_then(|entry| Some((entry.symbol.as_deref()?, &entry.hints)));
        Ok(symbol.map_or(Meaning::Nothing, |(symbol, hints)| Meaning::Symbol(symbol, hints)))
    }

    /// The asset that the code means in the segment, and what must be bound, or created and bound, for it. A binding of the
    /// segment goes before one for all of them.
    pub(super) fn of(&self, segment: &Segment, code: &str) -> Result<(AssetId, Option<CodeBinding>), UnmappedCode> {
        if let Meaning::Bound(asset) = self.meaning(segment, code)? {
            return Ok((asset.id, None));
        }
        let entry = self.codes.entry(segment, code);
        let Some((segment, entry, symbol)) = entry.and_then(|(of, entry)| Some((of, entry, entry.symbol.as_ref()?)))
        else {
            let message = format!("{code:?} cannot be an asset's code");
            return Err(UnmappedCode { code: "INVALID_ASSET_CODE", message, candidates: Vec::new() });
        };
        let named = self.named.get(symbol).map_or(&[][..], Vec::as_slice);
        let possible = named.iter().filter(|asset| entry.hints.may_mean(asset.asset_type));
        // What the venue has another code for stands for the symbol already: two codes of one symbol are one asset.
        let own: Vec<&Asset> = possible.clone().filter(|asset| self.own.contains(&asset.id)).collect();
        let (unclassified, classified): (Vec<&Asset>, Vec<&Asset>) =
            possible.partition(|asset| asset.asset_type == AssetType::Unclassified);
        let bind = |asset, created| {
            let (segment, code) = (segment.clone(), code.to_owned());
            Ok((asset, Some(CodeBinding { segment, code, asset, symbol: symbol.clone(), created })))
        };
        let refused = |code: &'static str, message: String, candidates: &[&Asset]| {
            let candidates = candidates.iter().map(|asset| asset.id).collect();
            Err(UnmappedCode { code, message, candidates })
        };
        // Where no class is said, a share of that ticker may be meant as well as the coin.
        let is_any = entry.hints.class.is_none() && !classified.is_empty();
        let all: Vec<&Asset> = named.iter().filter(|asset| asset.asset_type != AssetType::Unclassified).collect();
        let classified = if is_any { all } else { classified };
        match (classified.as_slice(), unclassified.as_slice(), own.as_slice()) {
            (.., [one]) | ([one], ..) => bind(one.id, false),
            ([], [one], _) if self.asset_match.symbols => bind(one.id, false),
            ([], [], _) if self.asset_match.create_missing => bind(entry.asset, true),
            ([], [], _) if named.is_empty() => {
                let message = format!("no asset has the symbol {symbol:?}; --create-missing-assets creates it");
                refused("UNKNOWN_ASSET", message, &[])
            }
            ([], [], _) => {
                let said = entry.hints.class.map_or("does not say its class", AssetClass::name);
                let message = format!(
                    "the asset with the symbol {symbol:?} is of another class, and the listing says {said}; bind the code, or \
                     --create-missing-assets creates another asset"
                );
                refused("UNKNOWN_ASSET", message, &named.iter().collect::<Vec<_>>())
            }
            ([], candidates, _) => {
                let message = format!(
                    "only unclassified assets have the symbol {symbol:?}; --trust-symbols matches the one, or bind the code"
                );
                refused("UNCLASSIFIED_ASSET", message, candidates)
            }
            (candidates, ..) => {
                let message =
                    format!("several assets have the symbol {symbol:?}; bind the code to the one that is meant");
                refused("AMBIGUOUS_ASSET", message, candidates)
            }
        }
    }

    /// The symbols of the assets that codes mean, those to be created among them.
    pub(super) fn symbols(&self) -> impl Iterator<Item = (AssetId, &str)> {
        let created = self.codes.codes.values().filter_map(|code| Some((code.asset, code.symbol.as_deref()?)));
        let stored = self.bound.values().map(Arc::as_ref).chain(self.named.values().flatten());
        created.chain(stored.map(|asset| (asset.id, asset.symbol.as_str())))
    }

    /// The asset that a code is bound to in a segment, or in all of them.
    pub(super) fn bound(&self, segment: &Segment, code: &str) -> Option<AssetId> {
        self.bound_asset(segment, code).map(|asset| asset.id)
    }

    fn bound_asset(&self, segment: &Segment, code: &str) -> Option<&Asset> {
        let of = |segment: &Segment| self.bound.get(&(segment.clone(), code.to_owned())).map(Arc::as_ref);
        // A code that means something of its own in this segment is not bound by what it means in all others.
        let is_meant_here = |asset: &&Asset| {
            let apart = self.codes.codes.get(&(segment.clone(), code.to_owned()));
            apart.is_none_or(|code| code.hints.contradiction(asset.asset_type).is_none())
        };
        of(segment).or_else(|| of(&Segment::default()).filter(is_meant_here))
    }

    /// The mutations that make a binding, and its asset where no other binding of the import has made that.
    pub(super) fn mutations(&self, bound: &CodeBinding, creates: bool) -> Vec<Mutation> {
        let create = |entity: Entity| Mutation::Create { entity, allow_existing: false };
        let entry = self.codes.entry(&bound.segment, &bound.code);
        let hints = entry.map(|(_, code)| code.hints.clone()).unwrap_or_default();
        let asset = creates.then(|| create(created(bound, hints).into()));
        let binding = entry.map(|(segment, code)| {
            let (venue, segment) = (self.venue.clone(), segment.clone());
            create(VenueAsset::new(code.binding, venue, segment, bound.code.clone(), bound.asset).into())
        });
        asset.into_iter().chain(binding).collect()
    }
}

fn contradicted(code: &str, asset: &Asset, (said, is): (AssetClass, AssetClass)) -> UnmappedCode {
    let (symbol, is, said) = (&asset.symbol, is.name(), said.name());
    UnmappedCode {
        code: "BINDING_CONTRADICTED",
        message: format!(
            "{code:?} is bound to {symbol:?}, whose class is {is}, and the listing says {said}; bind it to what is meant"
        ),
        candidates: vec![asset.id],
    }
}

/// An asset of which nothing is known but that a venue lists it, and what the venue says of it.
fn created(bound: &CodeBinding, hints: Hints) -> Asset {
    Asset {
        id: bound.asset,
        symbol: bound.symbol.clone(),
        asset_type: hints.asset_type(),
        name: hints.name.unwrap_or_else(|| bound.symbol.clone()),
        category: String::new(),
        description: String::new(),
        logo_url: String::new(),
        website_url: String::new(),
        labels: BTreeMap::new(),
        meta: Meta::default(),
    }
}

/// Whether a code is written as a multiple of another: `1000SHIB`, `1MBABYDOGE`, and not `1INCH`.
pub(super) fn looks_like_a_multiple(code: &str) -> bool {
    let digits = code.len() - code.trim_start_matches(|it: char| it.is_ascii_digit()).len();
    let (number, rest) = code.split_at(digits);
    let is_power_of_ten = number.starts_with('1') && number[1..].bytes().all(|digit| digit == b'0');
    let rest = if number == "1" { rest.strip_prefix('M').unwrap_or_default() } else { rest };
    is_power_of_ten && rest.chars().take_while(char::is_ascii_alphabetic).count() >= 2
}

impl CodeBinding {
    /// What the venue's code is bound by.
    pub(super) fn key(&self) -> SegmentCode {
        (self.segment.clone(), self.code.clone())
    }

    /// Whether it is what a code in a segment stands for.
    pub(super) fn covers(&self, segment: &Segment, code: &str) -> bool {
        self.code == code && (self.segment == *segment || self.segment == Segment::default())
    }
}

impl UnmappedCode {
    pub(super) fn candidates(&self) -> Vec<String> {
        self.candidates.iter().map(|id| EntityKey::Asset(*id).id()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_multiple_is_a_power_of_ten_and_a_name() {
        for multiple in ["1000SHIB", "10SET", "1MBABYDOGE", "1000000MOG"] {
            assert!(looks_like_a_multiple(multiple), "{multiple}");
        }
        for name in ["1INCH", "2Z", "BTC", "1M", "100", "", "1000X", "42069COIN"] {
            assert!(!looks_like_a_multiple(name), "{name}");
        }
    }
}
