//! The variants of an asset: loaded, joined and kept as a whole, and answered in pages.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use cqar_cache::{Key, Loaded};
use cqar_domain::{
    entities::{Entity, relationship::RelationshipType},
    entity::Revision,
    id::{AssetId, EntityKey, EntityType},
    variants::{ComposedRate, Step, VariantGraph, VariantPath},
};
use cqar_proto::v1;
use cqar_store::{End, Snapshot};
use prost::Message;

use crate::{
    PageRequest, Registry, Revisioned,
    caches::{self, LoadError},
    error::Error,
    list::{MAX_PAGE_BYTES, read_token, token},
    reads::nothing_loaded,
};

/// The most relationships that are walked along for one asset.
pub(crate) const MAX_RELATIONSHIPS: usize = 20_000;
/// The most steps from an asset to what it is made of at last.
const MAX_LEVELS: usize = 256;
/// The most paths to the variants of one asset.
pub(crate) const MAX_PATHS: usize = 10_000;
/// The types that are loaded: those of variants, and migrations, which are told beside them. An asset may be in any number of pools.
const WALKED: [RelationshipType; 5] = {
    let [a, b, c, d] = RelationshipType::VARIANTS;
    [a, b, c, d, RelationshipType::MigratesTo]
};
/// How many relationships a path may have, unless the caller says so; and at most.
const DEFAULT_DEPTH: u8 = 16;
const MAX_DEPTH: u8 = 32;

/// Which variants to list.
#[derive(Debug, Clone)]
pub struct VariantsQuery {
    /// Of which asset.
    pub asset: AssetId,
    /// The most relationships of a path; 0 for the default of 16, larger than 32 is lowered to that.
    pub max_depth: i32,
    /// Not to be answered from an older state than this revision's.
    pub min_revision: Revision,
}

/// What the variants of an asset are asked for by: the asset, and the most relationships of a path.
pub(crate) type VariantsKey = (AssetId, u8);

/// The variants of an asset, ready to be sent.
#[derive(Debug)]
pub(crate) struct AssetVariants {
    /// None where there is no such asset.
    found: Option<FoundVariants>,
}

#[derive(Debug)]
struct FoundVariants {
    roots: Vec<String>,
    migrations: Vec<v1::Relationship>,
    has_deeper: bool,
    /// In the order of the ids; none if there are too many ways to them, or those to one of them fit no page.
    variants: Option<Vec<(AssetId, v1::Variant)>>,
}

impl Registry {
    /// A page of the variants.
    pub async fn list_variants(
        &self,
        query: &VariantsQuery,
        page: PageRequest,
    ) -> Result<Revisioned<v1::ListVariantsResponse>, Error> {
        let size = page.size()? as usize;
        let depth = match u8::try_from(query.max_depth) {
            Ok(0) => DEFAULT_DEPTH,
            Ok(depth) => depth.min(MAX_DEPTH),
            Err(_) if query.max_depth > 0 => MAX_DEPTH,
            Err(_) => return Err(Error::invalid("max_depth", "NEGATIVE", "must not be negative")),
        };
        let fingerprint = format!("variants {} {depth}", query.asset);
        let after = read_token(&fingerprint, &page.token, |id| id.parse::<AssetId>().ok())?;
        let revision = self.wait_for_revision(query.min_revision).await?;
        let all = self.variants((query.asset, depth)).await?;
        let key = EntityKey::Asset(query.asset);
        let found = all.found.as_ref().ok_or(Error::NotFound { field: "asset_id".to_owned(), key })?;
        let variants = found.variants.as_ref().ok_or(Error::TooManyVariants { asset: query.asset })?;
        let from = after.map_or(0, |after| variants.partition_point(|(id, _)| *id <= after));
        let mut answer = v1::ListVariantsResponse {
            variants: Vec::new(),
            next_page_token: String::new(),
            revision,
            root_asset_ids: found.roots.clone(),
            migrations: found.migrations.clone(),
            has_deeper: found.has_deeper,
        };
        let (mut bytes, mut last) = (answer.encoded_len(), None);
        for (id, variant) in variants.iter().skip(from) {
            bytes += variant.encoded_len();
            if answer.variants.len() == size || (last.is_some() && bytes > MAX_PAGE_BYTES) {
                answer.next_page_token =
                    last.map(|last: AssetId| token(&fingerprint, &last.to_string())).unwrap_or_default();
                break;
            }
            answer.variants.push(variant.clone());
            last = Some(*id);
        }
        Ok(Revisioned { revision, value: answer })
    }

    async fn variants(&self, key: VariantsKey) -> Result<Arc<AssetVariants>, Error> {
        let caches = self.inner.caches.as_deref();
        let cache = caches.map(|caches| &caches.variants);
        let get = |key: &VariantsKey| caches.and_then(|it| it.counts.variants.count(it.variants.get(key)));
        let load = |keys: Vec<VariantsKey>| self.clone().load_variants(keys);
        let mut found = caches::read_through(cache, get, &[key], load).await.map_err(Error::Store)?;
        found.pop().ok_or_else(|| Error::Store(Arc::new(nothing_loaded())))
    }

    async fn load_variants(self, keys: Vec<VariantsKey>) -> Result<Vec<Loaded<Arc<AssetVariants>>>, LoadError> {
        let mut snapshot = self.inner.store.snapshot().await?;
        let mut loaded = Vec::with_capacity(keys.len());
        for key in keys {
            loaded.push(load(&mut snapshot, key).await?);
        }
        Ok(loaded)
    }
}

async fn load(
    snapshot: &mut Snapshot,
    (asset, depth): VariantsKey,
) -> Result<Loaded<Arc<AssetVariants>>, cqar_store::Error> {
    let mut family = Family::default();
    let climbed = family.climb(snapshot, asset).await?;
    family.descend(snapshot, &climbed, depth).await?;
    let keys: Vec<EntityKey> = family.seen.iter().copied().map(EntityKey::Asset).collect();
    let assets = snapshot.entities(&keys).await?;
    let of_asset = |(key, entity): (&EntityKey, Option<Entity>)| match entity {
        Some(Entity::Asset(asset)) => Some((key.clone(), v1::Asset::from(asset.as_ref()))),
        _ => None,
    };
    let assets: HashMap<EntityKey, v1::Asset> = keys.iter().zip(assets).filter_map(of_asset).collect();
    let found = assets.contains_key(&asset.into()).then(|| family.found(asset, depth.into(), &assets));
    let related = family.seen.into_iter().map(Key::Related);
    Ok(Loaded {
        bytes: found.as_ref().map_or(0, FoundVariants::bytes),
        value: Arc::new(AssetVariants { found }),
        dependencies: keys.into_iter().map(Key::Entity).chain(related).collect(),
        revision: snapshot.revision(),
        ttl: EntityType::Relationship.cache_ttl(),
    })
}

/// What an asset is made of, and all that is made of that.
#[derive(Default)]
struct Family {
    graph: VariantGraph,
    /// All assets whose relationships were loaded.
    seen: BTreeSet<AssetId>,
    /// Those of which what is made of them was loaded.
    below: BTreeSet<AssetId>,
    is_cut_off: bool,
}

impl Family {
    /// Loads what the asset is made of, step by step, to the roots; and returns what is so many steps above it.
    async fn climb(
        &mut self,
        snapshot: &mut Snapshot,
        asset: AssetId,
    ) -> Result<Vec<BTreeSet<AssetId>>, cqar_store::Error> {
        let mut climbed = Vec::new();
        let mut open = BTreeSet::from([asset]);
        while !open.is_empty() && !self.is_cut_off {
            self.is_cut_off |= climbed.len() == MAX_LEVELS;
            let above = self.take(snapshot, End::From, &open, &WALKED).await?;
            climbed.push(open);
            open = above.into_iter().filter(|asset| climbed.iter().all(|level| !level.contains(asset))).collect();
        }
        self.seen.extend(climbed.iter().flatten());
        Ok(climbed)
    }

    /// Loads what is made of all that was climbed, as far as the steps up leave steps down, and the step that would follow; and what is
    /// migrated to each, and each is migrated to.
    async fn descend(
        &mut self,
        snapshot: &mut Snapshot,
        climbed: &[BTreeSet<AssetId>],
        depth: u8,
    ) -> Result<(), cqar_store::Error> {
        let mut open = BTreeSet::new();
        for height in 0..=usize::from(depth) {
            // With as many steps left as what was reached from below.
            open.extend(climbed.get(height).into_iter().flatten().filter(|asset| !self.below.contains(asset)));
            if self.is_cut_off {
                break;
            }
            self.below.extend(&open);
            let reached = self.take(snapshot, End::To, &open, &WALKED).await?;
            open = reached.into_iter().filter(|asset| !self.below.contains(asset)).collect();
        }
        let others: BTreeSet<AssetId> = self.below.difference(&self.seen).copied().collect();
        self.take(snapshot, End::From, &others, &[RelationshipType::MigratesTo]).await?;
        self.seen.extend(&others);
        Ok(())
    }

    /// Takes in the relationships of some types that have one of the assets at an end, and returns the variants at the other ends.
    async fn take(
        &mut self,
        snapshot: &mut Snapshot,
        end: End,
        assets: &BTreeSet<AssetId>,
        types: &[RelationshipType],
    ) -> Result<Vec<AssetId>, cqar_store::Error> {
        let assets: Vec<AssetId> = assets.iter().copied().collect();
        let limit = u32::try_from(MAX_RELATIONSHIPS + 1).unwrap_or(u32::MAX);
        let mut reached = Vec::new();
        for relationship in snapshot.relationships(end, &assets, Some(types), limit).await? {
            if relationship.relationship_type.is_variant() {
                reached.push(match end {
                    End::From => relationship.to_asset_id,
                    End::To => relationship.from_asset_id,
                });
            }
            self.graph.add(relationship);
        }
        self.is_cut_off |= self.graph.len() > MAX_RELATIONSHIPS;
        Ok(reached)
    }

    fn found(&self, asset: AssetId, depth: usize, assets: &HashMap<EntityKey, v1::Asset>) -> FoundVariants {
        let paths = if self.is_cut_off { None } else { self.graph.paths(asset, depth, MAX_PATHS) };
        let (has_deeper, paths) = paths.map_or((false, None), |it| (it.has_longer, Some(it.paths)));
        let variants = paths.map(|paths| {
            let variant = |(id, paths): (AssetId, Vec<VariantPath>)| {
                let asset = assets.get(&EntityKey::Asset(id)).cloned();
                (id, v1::Variant { asset, paths: paths.into_iter().map(path_message).collect() })
            };
            paths.into_iter().map(variant).collect()
        });
        let roots = self.graph.roots(asset).iter().map(ToString::to_string).collect();
        let migrations = self.graph.migrations(&self.below).map(Into::into).collect();
        let mut found = FoundVariants { roots, migrations, has_deeper, variants };
        if !found.fits_pages() {
            found.variants = None;
        }
        found
    }
}

fn path_message(path: VariantPath) -> v1::VariantPath {
    let step = |step: &Step| v1::VariantStep {
        relationship_id: step.relationship.to_string(),
        r#type: v1::RelationshipType::from(step.relationship_type).into(),
        asset_id: step.asset.to_string(),
        is_to_underlying: step.is_up,
    };
    let steps = path.steps.iter().map(step).collect();
    let message = v1::VariantPath { steps, ..v1::VariantPath::default() };
    match path.rate {
        ComposedRate::Known { numerator, denominator } => v1::VariantPath {
            rate_numerator: numerator.to_plain_string(),
            rate_denominator: denominator.to_plain_string(),
            ..message
        },
        ComposedRate::Unknown(relationships) => v1::VariantPath {
            unknown_relationship_ids: relationships.iter().map(ToString::to_string).collect(),
            ..message
        },
        ComposedRate::TooLong => message,
    }
}

impl FoundVariants {
    /// How many bytes are on each page.
    fn head_bytes(&self) -> usize {
        let migrations = self.migrations.iter().map(Message::encoded_len);
        let roots = self.roots.iter().map(String::len);
        migrations.chain(roots).sum()
    }

    /// Whether each variant, with all ways to it, fits a page.
    fn fits_pages(&self) -> bool {
        let largest = self.variants.iter().flatten().map(|(_, variant)| variant.encoded_len()).max();
        self.head_bytes() + largest.unwrap_or(0) <= MAX_PAGE_BYTES
    }

    fn bytes(&self) -> usize {
        let variants: usize = self.variants.iter().flatten().map(|(_, variant)| variant.encoded_len()).sum();
        // Messages take about three times as much as they do when they are encoded.
        (variants + self.head_bytes()) * 3 + size_of::<Self>()
    }
}
