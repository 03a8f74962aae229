//! What tests know of each type of entity, one file each: how a client writes and reads one, an example in the domain, and a case for
//! each of its methods. So one test speaks of all of them, and a new one is here before it is tested.

mod asset;
pub mod case;
mod chain;
mod deployment;
mod group;
mod identifier;
mod instrument;
mod market;
mod relationship;
mod venue;
mod venue_asset;

use std::fmt::Debug;

use cqar_domain::entities::{Entity as DomainEntity, EntityVariant};
use cqar_proto::v1::Entity;
use cqar_store::Filter;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tonic::{Response, Status};

use self::case::Case;
use crate::{
    collect::revision_of,
    fixtures::{Clients, SampleRegistry},
};

/// The list of all of them, each after those that it may refer to: the file here, and the type.
#[macro_export]
macro_rules! all_kinds {
    ($apply:ident!($($arguments:tt)*)) => {
        $apply! {
            ($($arguments)*)
            asset Asset,
            chain Chain,
            deployment Deployment,
            venue Venue,
            venue_asset VenueAsset,
            instrument Instrument,
            market Market,
            identifier Identifier,
            relationship Relationship,
            group Group,
        }
    };
}

/// How a write is made.
#[derive(Debug, Clone, Default)]
pub struct Write {
    /// A UUID, or empty.
    pub request_id: String,
    /// Only tried.
    pub validate_only: bool,
}

/// An answer with the revision that it reflects.
#[derive(Debug, Clone, PartialEq)]
pub struct Answered<T> {
    /// The revision.
    pub revision: i64,
    /// The answer.
    pub value: T,
}

/// The message of one type of entity.
#[allow(async_fn_in_trait, reason = "tests name the types, and spawn none of these")]
pub trait Kind: Sized + Clone + PartialEq + Debug + Serialize + DeserializeOwned {
    /// A field that may change.
    const FIELD: &'static str;
    /// One that does not exist yet, and refers to what is in the registry.
    fn sample(registry: &SampleRegistry) -> Sample<Self>;
    /// Creates one.
    async fn create(to: &mut Clients, entity: Self, how: Write) -> Result<Answered<Self>, Status>;
    /// Gets one.
    async fn get(of: &mut Clients, id: &str, min_revision: i64) -> Result<Answered<Self>, Status>;
    /// Gets many, each or why not.
    async fn batch_get(of: &mut Clients, ids: Vec<String>) -> Result<Vec<Result<Self, Status>>, Status>;
    /// Updates one.
    async fn update(to: &mut Clients, entity: Self, mask: &[&str], how: Write) -> Result<Answered<Self>, Status>;
    /// Deletes one.
    async fn delete(to: &mut Clients, id: &str, etag: &str, how: Write) -> Result<Answered<Self>, Status>;
    /// A page, and what asks for the next one.
    async fn list(of: &mut Clients, page_size: i32, page_token: &str) -> Result<(Vec<Self>, String), Status> {
        Self::list_with(of, page_size, page_token, false).await.map(|page| page.value)
    }
    /// The same, with the revision that it reflects; what is soft-deleted is listed too, if asked for.
    async fn list_with(
        of: &mut Clients,
        page_size: i32,
        page_token: &str,
        show_deleted: bool,
    ) -> Result<Answered<(Vec<Self>, String)>, Status>;
    /// As an entity of any type.
    fn wrap(self) -> Entity;
    /// Its id.
    fn id(&self) -> &str;
    /// Its etag.
    fn etag(&self) -> &str;
    /// The revision of its last change.
    fn revision(&self) -> i64;
    /// Whether it has the times of its creation and of its last change.
    fn has_times(&self) -> bool;
    /// The field that may change.
    fn field(&self) -> Value {
        serde_json::to_value(self).unwrap()[Self::FIELD].clone()
    }
    /// The same with another value of the field; null is none.
    #[must_use]
    fn with_field(&self, value: &Value) -> Self {
        let mut json = serde_json::to_value(self).unwrap();
        let fields = json.as_object_mut().unwrap();
        fields.remove(Self::FIELD);
        fields.extend((!value.is_null()).then(|| (Self::FIELD.to_owned(), value.clone())));
        serde_json::from_value(json).unwrap()
    }
}

fn answered<T, U>(response: Response<T>, value: impl FnOnce(T) -> U) -> Answered<U> {
    Answered { revision: revision_of(response.metadata()), value: value(response.into_inner()) }
}

/// How a client writes and reads entities of a type, from the names that the contract has for it.
macro_rules! kind {
    ($entity:ident ($client:ident, $field:ident, $fields:ident, $id:ident, $ids:ident, $text:literal) {
        $create:ident $create_request:ident,
        $get:ident $get_request:expr,
        $batch:ident $batch_request:ident $batch_response:ident,
        $update:ident $update_request:ident,
        $delete:ident $delete_request:ident,
        $list:ident $list_request:ident $(hiding $hides:ident)?,
    } sample $sample:expr) => {
        impl $crate::kinds::Kind for cqar_proto::v1::$entity {
            const FIELD: &'static str = $text;

            fn sample(registry: &$crate::fixtures::SampleRegistry) -> $crate::kinds::Sample<Self> {
                let sample: fn(&$crate::fixtures::SampleRegistry) -> $crate::kinds::Sample<Self> = $sample;
                sample(registry)
            }

            async fn create(to: &mut $crate::fixtures::Clients, entity: Self, how: $crate::kinds::Write) -> Result<$crate::kinds::Answered<Self>, tonic::Status> {
                let $crate::kinds::Write { request_id, validate_only } = how;
                let request =
                    cqar_proto::v1::$create_request { $field: Some(entity), request_id, validate_only, ..Default::default() };
                Ok($crate::kinds::answered(to.$client.$create(request).await?, |it| it.$field.unwrap()))
            }

            async fn get(of: &mut $crate::fixtures::Clients, id: &str, min_revision: i64) -> Result<$crate::kinds::Answered<Self>, tonic::Status> {
                let request: fn(String, i64) -> _ = $get_request;
                Ok($crate::kinds::answered(of.$client.$get(request(id.to_owned(), min_revision)).await?, |it| it))
            }

            async fn batch_get(of: &mut $crate::fixtures::Clients, ids: Vec<String>) -> Result<Vec<Result<Self, tonic::Status>>, tonic::Status> {
                use cqar_proto::v1::$batch_response::result::Result as Found;
                let found = of.$client.$batch(cqar_proto::v1::$batch_request { $ids: ids, ..Default::default() }).await?.into_inner();
                let read = |it: cqar_proto::v1::$batch_response::Result| match it.result.unwrap() {
                    Found::$entity(it) => Ok(it),
                    Found::Error(error) => Err($crate::fixtures::status_of(&error)),
                };
                Ok(found.results.into_iter().map(read).collect())
            }

            async fn update(to: &mut $crate::fixtures::Clients, entity: Self, mask: &[&str], how: $crate::kinds::Write) -> Result<$crate::kinds::Answered<Self>, tonic::Status> {
                let $crate::kinds::Write { request_id, validate_only } = how;
                let paths = mask.iter().map(|path| (*path).to_owned()).collect();
                let update_mask = Some(cqar_proto::well_known::FieldMask { paths });
                let (entity, rest) = (Some(entity), cqar_proto::v1::$update_request::default());
                let request = cqar_proto::v1::$update_request { $field: entity, update_mask, request_id, validate_only, ..rest };
                Ok($crate::kinds::answered(to.$client.$update(request).await?, |it| it.$field.unwrap()))
            }

            async fn delete(to: &mut $crate::fixtures::Clients, id: &str, etag: &str, how: $crate::kinds::Write) -> Result<$crate::kinds::Answered<Self>, tonic::Status> {
                let $crate::kinds::Write { request_id, validate_only } = how;
                let (id, etag, rest) = (id.into(), etag.into(), cqar_proto::v1::$delete_request::default());
                let request = cqar_proto::v1::$delete_request { $id: id, etag, request_id, validate_only, ..rest };
                Ok($crate::kinds::answered(to.$client.$delete(request).await?, |it| it.$field.unwrap()))
            }

            async fn list_with(
                of: &mut $crate::fixtures::Clients,
                page_size: i32,
                page_token: &str,
                show_deleted: bool,
            ) -> Result<$crate::kinds::Answered<(Vec<Self>, String)>, tonic::Status> {
                #[allow(unused_mut, reason = "not every type is soft-deleted")]
                let mut request =
                    cqar_proto::v1::$list_request { page_size, page_token: page_token.into(), ..Default::default() };
                $(
                    let _ = stringify!($hides);
                    request.show_deleted = show_deleted;
                )?
                let _ = show_deleted;
                Ok($crate::kinds::answered(of.$client.$list(request).await?, |page| (page.$fields, page.next_page_token)))
            }

            fn wrap(self) -> cqar_proto::v1::Entity {
                cqar_proto::v1::Entity { entity: Some(cqar_proto::v1::entity::Entity::$entity(self)) }
            }

            fn id(&self) -> &str {
                &self.id
            }

            fn etag(&self) -> &str {
                &self.etag
            }

            fn revision(&self) -> i64 {
                self.revision
            }

            fn has_times(&self) -> bool {
                self.create_time.is_some() && self.update_time.is_some()
            }
        }
    };
}
use kind;

/// A sample of an entity, and another value for its field.
pub struct Sample<K> {
    /// One that does not exist yet.
    pub new: K,
    /// Another value for its field.
    pub other: Value,
}

impl<K> Sample<K> {
    /// A sample.
    pub fn new(new: K, other: impl Into<Value>) -> Self {
        Self { new, other: other.into() }
    }
}

/// Entities of the domain, of the types that come first.
pub struct Examples(Vec<DomainEntity>);

impl Examples {
    /// The first of one type.
    fn first<E: EntityVariant + Clone, const N: usize>(&self) -> [E; N] {
        let first: Vec<E> = self.0.iter().filter_map(E::of).take(N).cloned().collect();
        first.try_into().ok().expect("as many as there are")
    }
}

/// Entities of the domain in large numbers, of the types that come first.
pub struct Many {
    /// How many of each type.
    rows: usize,
    of_each: Vec<Vec<DomainEntity>>,
}

impl Many {
    /// All of one type.
    fn all<E: EntityVariant>(&self) -> Vec<&E> {
        self.of_each.iter().flatten().filter_map(E::of).collect()
    }
}

/// Runs a check, generic over the kind, with the clients and the registry of [`SampleRegistry`], for each of them.
#[macro_export]
macro_rules! for_each_kind {
    ($check:ident, $clients:expr, $registry:expr) => {
        $crate::all_kinds!(for_each_kind!($check, $clients, $registry))
    };
    (($check:ident, $clients:expr, $registry:expr) $($module:ident $kind:ident,)+) => {
        $($check::<cqar_proto::v1::$kind>($clients, $registry).await;)+
    };
}

/// A filter for none of so many fields, for each alone, and for each with each other one; it asks which fields it has.
fn choices(fields: usize, filter: impl Fn(&dyn Fn(usize) -> bool) -> Filter) -> Vec<Filter> {
    let pairs = (0..fields).flat_map(|a| (a..fields).map(move |b| vec![a, b]));
    std::iter::once(Vec::new()).chain(pairs).map(|chosen| filter(&|n| chosen.contains(&n))).collect()
}

macro_rules! collected {
    (() $($module:ident $kind:ident,)+) => {
        /// Some of each kind of entity, with every optional field given somewhere.
        pub fn examples() -> Vec<DomainEntity> {
            let mut examples = Examples(Vec::new());
            $({
                let more = $module::examples(&examples);
                examples.0.extend(more);
            })+
            examples.0
        }

        /// So many rows of each kind, spread over the types, kinds and venues that there are: of some a few more.
        pub fn many(rows: usize) -> Vec<Vec<DomainEntity>> {
            let mut many = Many { rows, of_each: Vec::new() };
            $({
                let more = $module::many(&many);
                many.of_each.push(more);
            })+
            many.of_each
        }

        /// What each can be listed by, every field alone and with each other one.
        pub fn filters() -> Vec<Filter> {
            [$($module::filters()),+].concat()
        }

        /// A case for each of their methods.
        pub fn cases() -> Vec<Case> {
            [$($module::cases()),+].concat()
        }
    };
}
all_kinds!(collected!());
