//! What a key that people use names, with what that refers to, in one answer: cached, encoded and ready to send, as resolved symbols are.
//!
//! | module | from | to |
//! |---|---|---|
//! | `deployment` | an address of a chain, a CAIP-19 id | the deployment, its asset and chain |
//! | `venue_asset` | a venue's code for an asset, and for a network | the asset, and what it is on the networks |
//! | `identifier` | a source's id | the identifier, and what it names |

mod deployment;
mod identifier;
mod venue_asset;

use std::{collections::HashMap, hash::Hash, sync::Arc};

use bytes::Bytes;
use cqar_cache::{Key, Loaded};
use cqar_domain::{entities::Entity, entity::Revision, id::EntityKey, violation::Violation};

use crate::{
    Registry, Revisioned,
    caches::{self, LoadError},
    error::{Error, Unresolved},
    loader::{self, EntityLoadError, EntitySource, LoaderQuery},
    reads::nothing_loaded,
    request_path::RequestPath,
};

pub use deployment::DeploymentQuery;
pub use identifier::IdentifierQuery;
pub use venue_asset::VenueAssetQuery;

/// What is asked for, as a request has it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum JoinedQuery {
    /// What is at a place on a chain.
    Deployment(DeploymentQuery),
    /// What a source's id names.
    Identifier(IdentifierQuery),
    /// What a venue knows by a code.
    VenueAsset(VenueAssetQuery),
}

/// What is known of a query: the encoded answer, or why there is none.
#[derive(Debug)]
pub(crate) struct JoinedAnswer(Result<Bytes, Missing>);

/// Why there is no answer, but for the query's place in its request.
#[derive(Debug)]
enum Missing {
    /// A field is wrong, as what is registered says.
    Invalid { field: &'static str, code: &'static str, message: String },
    /// There is no such entity.
    NotFound { field: &'static str, key: EntityKey },
    /// Nothing has the key.
    Unresolved(Unresolved),
}

/// An answer as it is loaded, and what it depends on.
struct Joined {
    answer: Result<Bytes, Missing>,
    dependencies: Vec<Key>,
}

impl Registry {
    /// The encoded answer of the query's method.
    pub async fn join(&self, query: JoinedQuery, min_revision: Revision) -> Result<Revisioned<Bytes>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let path = query.path();
        let answer = match self.kept_answer(&query) {
            Some(answer) => answer,
            None => Box::pin(self.load_answer(query, revision)).await?,
        };
        answer.value(path).map(|value| Revisioned { revision, value })
    }

    /// The same for many, each or why not, in their order: those of a request from its `first`th on.
    pub async fn batch_join(
        &self,
        first: usize,
        queries: Vec<Result<JoinedQuery, Error>>,
        min_revision: Revision,
    ) -> Result<Revisioned<Vec<Result<Bytes, Error>>>, Error> {
        let revision = self.wait_for_revision(min_revision).await?;
        let places = (first..).map(RequestPath::InBatch);
        let checked = queries.into_iter().zip(places.clone()).map(|(query, path)| {
            let query = query?;
            query.check(path).map(|()| query)
        });
        let checked: Vec<Result<JoinedQuery, Error>> = checked.collect();
        let wanted: Vec<JoinedQuery> = checked.iter().flatten().cloned().collect();
        let caches = self.inner.caches.as_deref();
        let load = |queries: Vec<JoinedQuery>| self.clone().load_answers(queries, revision);
        let answers =
            caches::read_through(caches.map(|it| &it.joined), |query| self.kept_answer(query), &wanted, load).await;
        let mut answers = answers.map_err(Error::Store)?.into_iter();
        let value = checked.into_iter().zip(places).map(|(query, path)| {
            query?;
            // There is one for each query that was well-formed.
            let answer = answers.next().ok_or_else(|| Error::Store(Arc::new(nothing_loaded())))?;
            answer.value(path)
        });
        Ok(Revisioned { revision, value: value.collect() })
    }

    fn kept_answer(&self, query: &JoinedQuery) -> Option<Arc<JoinedAnswer>> {
        let caches = self.inner.caches.as_deref()?;
        caches.counts.joined.count(caches.joined.get(query))
    }

    async fn load_answer(&self, query: JoinedQuery, min_revision: Revision) -> Result<Arc<JoinedAnswer>, Error> {
        query.check(query.path())?;
        let (this, queries) = (self.clone(), vec![query.clone()]);
        let load = async move {
            let mut loaded = this.load_answers(queries, min_revision).await?;
            loaded.pop().ok_or_else(|| Arc::new(nothing_loaded()))
        };
        let loaded = match &self.inner.caches {
            Some(caches) => caches.joined.load(query, load).await,
            None => load.await.map(|loaded| loaded.value),
        };
        loaded.map_err(Error::Store)
    }

    async fn load_answers(
        self,
        queries: Vec<JoinedQuery>,
        min_revision: Revision,
    ) -> Result<Vec<Loaded<Arc<JoinedAnswer>>>, LoadError> {
        let inner = &self.inner;
        let (found, revision) =
            loader::load(&inner.store, inner.l2.as_ref(), min_revision, &JoinedLoad(&queries)).await?;
        let loaded = queries.iter().zip(found).map(|(query, Joined { answer, dependencies })| Loaded {
            revision,
            bytes: answer.as_ref().map_or_else(Missing::bytes, Bytes::len) + query.bytes(),
            ttl: dependencies.iter().map(Key::ttl).min().unwrap_or_default(),
            dependencies,
            value: Arc::new(JoinedAnswer(answer)),
        });
        Ok(loaded.collect())
    }
}

impl JoinedQuery {
    /// Where it stands in a request for it alone.
    const fn path(&self) -> RequestPath {
        match self {
            Self::Deployment(_) => DeploymentQuery::ALONE,
            Self::Identifier(_) => IdentifierQuery::ALONE,
            Self::VenueAsset(_) => RequestPath::Alone,
        }
    }

    /// What it takes as the key of an answer, and in what the answer depends on.
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Deployment(query) => query.text_bytes(),
            Self::Identifier(query) => query.text_bytes(),
            Self::VenueAsset(query) => query.text_bytes(),
        };
        size_of::<Self>() + 2 * texts
    }

    /// Refuses what can name nothing, before it is looked up or kept.
    fn check(&self, path: RequestPath) -> Result<(), Error> {
        match self {
            Self::Deployment(query) => query.check(path),
            Self::Identifier(query) => query.check(path),
            Self::VenueAsset(query) => query.check(path),
        }
    }
}

impl Missing {
    fn bytes(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Invalid { message, .. } => message.len(),
                Self::NotFound { key, .. } => key.id().len(),
                Self::Unresolved(what) => what.bytes(),
            }
    }
}

impl JoinedAnswer {
    fn value(&self, path: RequestPath) -> Result<Bytes, Error> {
        self.0.as_ref().cloned().map_err(|missing| match missing {
            Missing::Invalid { field, code, message } => Error::Invalid(vec![Violation {
                field: path.field(field),
                code: (*code).to_owned(),
                message: message.clone(),
            }]),
            Missing::NotFound { field, key } => Error::NotFound { field: path.field(field), key: key.clone() },
            Missing::Unresolved(what) => Error::Unresolved(Box::new(what.clone())),
        })
    }
}

struct JoinedLoad<'a>(&'a [JoinedQuery]);

impl LoaderQuery for JoinedLoad<'_> {
    type Output = Vec<Joined>;

    async fn run<L: EntitySource>(&self, loader: &mut L) -> Result<Vec<Joined>, EntityLoadError> {
        let mut answers: Vec<Option<Joined>> = self.0.iter().map(|_| None).collect();
        // Those of each kind together.
        macro_rules! answer {
            ($($kind:ident by $module:ident),+) => {$({
                let (places, queries): (Vec<usize>, Vec<_>) = self.0.iter().enumerate().filter_map(|(n, query)| {
                    if let JoinedQuery::$kind(query) = query { Some((n, query)) } else { None }
                }).unzip();
                if !queries.is_empty() {
                    for (n, joined) in places.into_iter().zip($module::answers(loader, &queries).await?) {
                        if let Some(answer) = answers.get_mut(n) {
                            *answer = Some(joined);
                        }
                    }
                }
            })+};
        }
        answer!(Deployment by deployment, Identifier by identifier, VenueAsset by venue_asset);
        answers.into_iter().collect::<Option<Vec<Joined>>>().ok_or(EntityLoadError::Incomplete)
    }
}

/// What was found under which key.
fn by_key<K: Hash + Eq>(keys: Vec<K>, found: Vec<Option<Entity>>) -> HashMap<K, Entity> {
    keys.into_iter().zip(found).filter_map(|(key, entity)| Some((key, entity?))).collect()
}
