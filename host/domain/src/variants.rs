//! The variants of an asset: what wraps, bridges, stakes or rebases it, however many steps away, with exact rates.
//!
//! From an asset its underlyings are climbed to the roots, and from each asset on the way everything below is a variant: each by every way
//! that leads to it without passing an asset twice. Up a step the rate is multiplied into the denominator, down into the numerator: what
//! comes out is how many units of the asset one unit of the variant is.

use std::collections::{BTreeMap, BTreeSet};

use bigdecimal::BigDecimal;

use crate::{
    entities::relationship::{Relationship, RelationshipType},
    id::{AssetId, RelationshipId},
};

/// The most digits of a composed rate's numerator, and of its denominator.
pub const MAX_RATE_DIGITS: u64 = 256;

/// Relationships between assets, to be walked along.
#[derive(Debug, Default)]
pub struct VariantGraph {
    relationships: BTreeMap<RelationshipId, Relationship>,
    /// Of each asset those by which it is made of others, and those by which others are made of it.
    up: BTreeMap<AssetId, Vec<RelationshipId>>,
    down: BTreeMap<AssetId, Vec<RelationshipId>>,
}

/// One way from an asset to one of its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantPath {
    /// The steps, from the asset on.
    pub steps: Vec<Step>,
    /// How many units of the asset one unit of the variant is.
    pub rate: ComposedRate,
}

/// A relationship, and in which direction it is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Which.
    pub relationship: RelationshipId,
    /// Its type.
    pub relationship_type: RelationshipType,
    /// Where it leads.
    pub asset: AssetId,
    /// Whether it leads to the underlying, and not to the derivative.
    pub is_up: bool,
}

/// The product of the rates of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ComposedRate {
    /// Exactly `numerator / denominator`.
    Known {
        /// The product of the rates of the steps down.
        numerator: BigDecimal,
        /// The product of the rates of the steps up.
        denominator: BigDecimal,
    },
    /// These relationships have no rate of their own here.
    Unknown(Vec<RelationshipId>),
    /// It has more than [`MAX_RATE_DIGITS`].
    TooLong,
}

/// The paths to each variant, in the order of the variants' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariantPaths {
    /// Shorter ones first.
    pub paths: BTreeMap<AssetId, Vec<VariantPath>>,
    /// Whether there are longer ones than were asked for.
    pub has_longer: bool,
}

impl VariantGraph {
    /// Takes a relationship in, whatever its type.
    pub fn add(&mut self, relationship: Relationship) {
        let Relationship { id, from_asset_id, to_asset_id, .. } = relationship;
        if self.relationships.insert(id, relationship).is_none() {
            self.up.entry(from_asset_id).or_default().push(id);
            self.down.entry(to_asset_id).or_default().push(id);
        }
    }

    /// How many relationships there are.
    pub fn len(&self) -> usize {
        self.relationships.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.relationships.is_empty()
    }

    fn of<'a>(
        &'a self,
        side: &'a BTreeMap<AssetId, Vec<RelationshipId>>,
        asset: AssetId,
    ) -> impl Iterator<Item = &'a Relationship> {
        side.get(&asset).into_iter().flatten().filter_map(|id| self.relationships.get(id))
    }

    /// The assets that this one is made of at last, itself if it is made of none.
    pub fn roots(&self, asset: AssetId) -> BTreeSet<AssetId> {
        let (mut seen, mut open, mut roots) = (BTreeSet::from([asset]), vec![asset], BTreeSet::new());
        while let Some(at) = open.pop() {
            let above: Vec<AssetId> =
                self.of(&self.up, at).filter(|it| it.relationship_type.is_variant()).map(|it| it.to_asset_id).collect();
            if above.is_empty() {
                roots.insert(at);
            }
            open.extend(above.into_iter().filter(|it| seen.insert(*it)));
        }
        // Assets that are made of one another by relationships of several types have no end.
        if roots.is_empty() { BTreeSet::from([asset]) } else { roots }
    }

    /// What is migrated to what, of an asset and those that are given.
    pub fn migrations<'a>(&'a self, assets: &'a BTreeSet<AssetId>) -> impl Iterator<Item = &'a Relationship> {
        self.relationships.values().filter(|it| {
            it.relationship_type == RelationshipType::MigratesTo
                && (assets.contains(&it.from_asset_id) || assets.contains(&it.to_asset_id))
        })
    }

    /// The ways of at most `max_steps` to each variant; none if there are more than `max_paths`.
    pub fn paths(&self, asset: AssetId, max_steps: usize, max_paths: usize) -> Option<VariantPaths> {
        let mut walk = Walk {
            graph: self,
            max_steps,
            left: max_paths,
            passed: vec![asset],
            steps: Vec::new(),
            found: VariantPaths { paths: BTreeMap::new(), has_longer: false },
        };
        walk.climb()?;
        let mut found = walk.found;
        for paths in found.paths.values_mut() {
            paths.sort_by_key(|path| path.steps.len());
        }
        Some(found)
    }
}

/// A walk along a graph: up, and then down.
struct Walk<'a> {
    graph: &'a VariantGraph,
    max_steps: usize,
    /// So many paths may still be found.
    left: usize,
    /// The assets on the way, the first and the last included.
    passed: Vec<AssetId>,
    steps: Vec<Step>,
    found: VariantPaths,
}

impl Walk<'_> {
    fn climb(&mut self) -> Option<()> {
        self.descend()?;
        for step in self.steps_from(true) {
            self.take(step)?;
            self.climb()?;
            self.give_back();
        }
        Some(())
    }

    fn descend(&mut self) -> Option<()> {
        for step in self.steps_from(false) {
            self.take(step)?;
            self.descend()?;
            self.give_back();
        }
        Some(())
    }

    /// The steps that can be taken to assets that were not passed.
    fn steps_from(&mut self, is_up: bool) -> Vec<Step> {
        let Some(at) = self.passed.last().copied() else { return Vec::new() };
        let side = if is_up { &self.graph.up } else { &self.graph.down };
        let step = |it: &Relationship| Step {
            relationship: it.id,
            relationship_type: it.relationship_type,
            asset: if is_up { it.to_asset_id } else { it.from_asset_id },
            is_up,
        };
        let variants = self.graph.of(side, at).filter(|it| it.relationship_type.is_variant());
        let steps: Vec<Step> = variants.map(step).filter(|it| !self.passed.contains(&it.asset)).collect();
        if self.steps.len() < self.max_steps || steps.is_empty() {
            return steps;
        }
        self.found.has_longer = true;
        Vec::new()
    }

    /// Takes a step, which makes a path; none if there are too many.
    fn take(&mut self, step: Step) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        self.steps.push(step);
        self.passed.push(step.asset);
        let path = VariantPath { steps: self.steps.clone(), rate: self.graph.rate(&self.steps) };
        self.found.paths.entry(step.asset).or_default().push(path);
        Some(())
    }

    fn give_back(&mut self) {
        self.steps.pop();
        self.passed.pop();
    }
}

impl VariantGraph {
    fn rate(&self, steps: &[Step]) -> ComposedRate {
        let (mut numerator, mut denominator) = (BigDecimal::from(1), BigDecimal::from(1));
        let mut unknown = Vec::new();
        for step in steps {
            match self.relationships.get(&step.relationship).and_then(|it| it.rate.number()) {
                None => unknown.push(step.relationship),
                Some(rate) if step.is_up => denominator *= rate.big(),
                Some(rate) => numerator *= rate.big(),
            }
        }
        if !unknown.is_empty() {
            return ComposedRate::Unknown(unknown);
        }
        let is_long = |product: &BigDecimal| {
            let (digits, places) = (product.digits(), product.fractional_digit_count());
            // Zeros between the point and the digits are written, too.
            let written = if places < 0 { digits + places.unsigned_abs() } else { digits.max(places.unsigned_abs()) };
            written > MAX_RATE_DIGITS
        };
        let (numerator, denominator) = (numerator.normalized(), denominator.normalized());
        if is_long(&numerator) || is_long(&denominator) {
            return ComposedRate::TooLong;
        }
        ComposedRate::Known { numerator, denominator }
    }
}

#[cfg(test)]
mod tests {
    use bigdecimal::num_bigint::BigInt;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{decimal::Decimal, entities::relationship::Rate, entity::Meta};

    fn asset(n: u8) -> AssetId {
        AssetId::from_uuid(Uuid::from_u128(0x0192_f0c1_2345_7abc_8def_0000_0000_0000 + u128::from(n))).unwrap()
    }

    fn edge(n: usize, from: u8, to: u8, rate: Rate) -> Relationship {
        let id = Uuid::from_u128(0x0192_f0c1_2345_7abc_8def_1000_0000_0000 + n as u128);
        Relationship {
            id: RelationshipId::from_uuid(id).unwrap(),
            from_asset_id: asset(from),
            to_asset_id: asset(to),
            relationship_type: RelationshipType::Wraps,
            rate,
            effective_time: None,
            protocol: String::new(),
            meta: Meta::default(),
        }
    }

    fn graph(edges: &[(u8, u8)], rate: impl Fn(usize) -> Rate) -> VariantGraph {
        let mut graph = VariantGraph::default();
        for (n, (from, to)) in edges.iter().enumerate() {
            graph.add(edge(n, *from, *to, rate(n)));
        }
        graph
    }

    fn one(_: usize) -> Rate {
        Rate::Fixed(Decimal::one())
    }

    #[test]
    fn a_product_is_exact_and_one_that_is_too_long_is_not_told() {
        let digits: Decimal = "1.2345678901234567890123456789012345678".parse().unwrap();
        let chain: Vec<(u8, u8)> = (0..7).map(|n| (n + 1, n)).collect();
        let graph = graph(&chain, |_| Rate::Fixed(digits.clone()));
        let found = graph.paths(asset(0), 32, 100).unwrap();
        let rate = |n: u8| found.paths[&asset(n)][0].rate.clone();
        let ComposedRate::Known { numerator, denominator } = rate(3) else { panic!() };
        assert_eq!(numerator, digits.big() * digits.big() * digits.big());
        assert_eq!(denominator, BigDecimal::from(1));
        assert!(matches!(rate(6), ComposedRate::Known { .. }), "6 times 38 digits");
        assert_eq!(rate(7), ComposedRate::TooLong);
    }

    #[test]
    fn a_product_has_as_many_digits_as_are_written() {
        let composed = |factors: &[&str]| {
            let chain: Vec<(u8, u8)> = (0..u8::try_from(factors.len()).unwrap()).map(|n| (n + 1, n)).collect();
            let graph = graph(&chain, |n| Rate::Fixed(factors[n].parse().unwrap()));
            graph.paths(asset(0), 32, 100).unwrap().paths.into_values().next_back().unwrap().remove(0).rate
        };
        let large = format!("1{}", "0".repeat(37));
        let tiny = format!("0.{}1", "0".repeat(37));
        for (factor, last, digits) in [
            // Six times 37 zeros and a one; and six times 38 places.
            (large.as_str(), "1000000000000000000000000000000000", 256),
            (&large, "10000000000000000000000000000000000", 257),
            (&tiny, "0.0000000000000000000000000001", 256),
            (&tiny, "0.00000000000000000000000000001", 257),
        ] {
            match composed(&[factor, factor, factor, factor, factor, factor, last]) {
                ComposedRate::Known { numerator, .. } => {
                    let written = numerator.to_plain_string();
                    assert_eq!((written.trim_start_matches("0.").len(), digits), (256, 256), "{written}");
                }
                told => assert_eq!((told, digits), (ComposedRate::TooLong, 257)),
            }
        }
    }

    #[test]
    fn a_diamond_has_two_ways_and_too_many_ways_are_none() {
        let found = graph(&[(1, 0), (2, 0), (3, 1), (3, 2)], one).paths(asset(0), 32, 100).unwrap();
        assert_eq!(found.paths[&asset(3)].len(), 2);
        // Twenty diamonds one below the other: a million ways.
        let many: Vec<(u8, u8)> = (0..20)
            .flat_map(|n| {
                let top = n * 3;
                [(top + 1, top), (top + 2, top), (top + 3, top + 1), (top + 3, top + 2)]
            })
            .collect();
        assert!(graph(&many, one).paths(asset(0), 64, 10_000).is_none());
    }

    /// Every way up and then down that passes no asset twice, found without any cleverness.
    fn ways(edges: &[(u8, u8)], passed: &[u8], is_down: bool, depth: usize) -> Vec<Vec<u8>> {
        let at = *passed.last().unwrap();
        let mut found = Vec::new();
        if passed.len() > depth {
            return found;
        }
        for (from, to) in edges {
            for (here, there, down) in [(*to, *from, true), (*from, *to, false)] {
                if here == at && !passed.contains(&there) && (down || !is_down) {
                    let passed = [passed, &[there]].concat();
                    found.extend(ways(edges, &passed, down, depth));
                    found.push(passed);
                }
            }
        }
        found
    }

    proptest! {
        /// Against whole numbers: the digits are multiplied, and the places summed up.
        #[test]
        fn a_composed_rate_is_the_product_of_all_digits(
            rates in prop::collection::vec((1u128..10u128.pow(38), 0i64..=38), 1..7),
        ) {
            let decimals: Vec<Decimal> = rates
                .iter()
                .map(|(digits, places)| BigDecimal::new((*digits).into(), *places).to_plain_string().parse().unwrap())
                .collect();
            let chain: Vec<(u8, u8)> = (0..u8::try_from(rates.len()).unwrap()).map(|n| (n + 1, n)).collect();
            let graph = graph(&chain, |n| Rate::Fixed(decimals[n].clone()));
            let last = asset(u8::try_from(rates.len()).unwrap());
            let digits: BigInt = rates.iter().map(|(digits, _)| BigInt::from(*digits)).product();
            let places: i64 = rates.iter().map(|(_, places)| places).sum();
            let product = BigDecimal::new(digits, places).normalized();
            let one = BigDecimal::from(1);
            let down = graph.paths(asset(0), 32, 100).unwrap().paths[&last][0].rate.clone();
            prop_assert_eq!(down, ComposedRate::Known { numerator: product.clone(), denominator: one.clone() });
            let up = graph.paths(last, 32, 100).unwrap().paths[&asset(0)][0].rate.clone();
            prop_assert_eq!(up, ComposedRate::Known { numerator: one, denominator: product });
        }

        #[test]
        fn every_way_is_found_and_no_other(
            edges in prop::collection::btree_set((0u8..7, 0u8..7), 0..10),
            depth in 1usize..6,
        ) {
            let edges: Vec<(u8, u8)> = edges.into_iter().filter(|(from, to)| from != to).collect();
            let found = graph(&edges, one).paths(asset(0), depth, 100_000).unwrap();
            let mut expected: Vec<Vec<AssetId>> = ways(&edges, &[0], false, depth)
                .into_iter()
                .map(|way| way.into_iter().skip(1).map(asset).collect())
                .collect();
            let mut paths: Vec<Vec<AssetId>> =
                found.paths.values().flatten().map(|path| path.steps.iter().map(|step| step.asset).collect()).collect();
            expected.sort();
            paths.sort();
            prop_assert_eq!(paths, expected);
            prop_assert_eq!(found.has_longer, ways(&edges, &[0], false, depth + 1).len() > ways(&edges, &[0], false, depth).len());
        }
    }
}
