//! What tests know of each type of entity: an example in the domain, and how a client writes and reads one. So one test
//! speaks of all of them, and a new one is here before it is tested.

use std::fmt::Debug;

use cqar_domain::entities::{
    Entity as DomainEntity,
    instrument::{DerivativeAssets, ExerciseStyle, OptionType as Side, Terms},
    market::Market as DomainMarket,
    venue::Venue as DomainVenue,
};
#[allow(clippy::wildcard_imports, reason = "it names every request of every entity")]
use cqar_proto::v1::*;
use cqar_proto::well_known::FieldMask;
use tonic::{Response, Status};

use crate::{
    collect::revision_of,
    entities,
    fixtures::{Clients, status_of},
};

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
pub trait Kind: Sized + Clone + PartialEq + Debug {
    /// A field that may change, and is text.
    const FIELD: &'static str;
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
    fn field(&mut self) -> &mut String;
}

fn answered<T, U>(response: Response<T>, value: impl FnOnce(T) -> U) -> Answered<U> {
    Answered { revision: revision_of(response.metadata()), value: value(response.into_inner()) }
}

macro_rules! kinds {
    ($($entity:ident ($client:ident, $field:ident, $fields:ident, $id:ident, $ids:ident, $text:literal, $change:expr) {
        $create:ident $create_request:ident,
        $get:ident $get_request:expr,
        $batch:ident $batch_request:ident $batch_response:ident,
        $update:ident $update_request:ident,
        $delete:ident $delete_request:ident,
        $list:ident $list_request:ident $(hiding $hides:ident)?,
    })+) => {$(
        impl Kind for $entity {
            const FIELD: &'static str = $text;

            async fn create(to: &mut Clients, entity: Self, how: Write) -> Result<Answered<Self>, Status> {
                let Write { request_id, validate_only } = how;
                let request =
                    $create_request { $field: Some(entity), request_id, validate_only, ..Default::default() };
                Ok(answered(to.$client.$create(request).await?, |it| it.$field.unwrap()))
            }

            async fn get(of: &mut Clients, id: &str, min_revision: i64) -> Result<Answered<Self>, Status> {
                let request: fn(String, i64) -> _ = $get_request;
                Ok(answered(of.$client.$get(request(id.to_owned(), min_revision)).await?, |it| it))
            }

            async fn batch_get(of: &mut Clients, ids: Vec<String>) -> Result<Vec<Result<Self, Status>>, Status> {
                use $batch_response::result::Result as Found;
                let found = of.$client.$batch($batch_request { $ids: ids, ..Default::default() }).await?.into_inner();
                let read = |it: $batch_response::Result| match it.result.unwrap() {
                    Found::$entity(it) => Ok(it),
                    Found::Error(error) => Err(status_of(&error)),
                };
                Ok(found.results.into_iter().map(read).collect())
            }

            async fn update(to: &mut Clients, entity: Self, mask: &[&str], how: Write) -> Result<Answered<Self>, Status> {
                let Write { request_id, validate_only } = how;
                let paths = mask.iter().map(|path| (*path).to_owned()).collect();
                let update_mask = Some(FieldMask { paths });
                let (entity, rest) = (Some(entity), $update_request::default());
                let request = $update_request { $field: entity, update_mask, request_id, validate_only, ..rest };
                Ok(answered(to.$client.$update(request).await?, |it| it.$field.unwrap()))
            }

            async fn delete(to: &mut Clients, id: &str, etag: &str, how: Write) -> Result<Answered<Self>, Status> {
                let Write { request_id, validate_only } = how;
                let (id, etag, rest) = (id.into(), etag.into(), $delete_request::default());
                let request = $delete_request { $id: id, etag, request_id, validate_only, ..rest };
                Ok(answered(to.$client.$delete(request).await?, |it| it.$field.unwrap()))
            }

            async fn list_with(
                of: &mut Clients,
                page_size: i32,
                page_token: &str,
                show_deleted: bool,
            ) -> Result<Answered<(Vec<Self>, String)>, Status> {
                #[allow(unused_mut, reason = "not every type is soft-deleted")]
                let mut request =
                    $list_request { page_size, page_token: page_token.into(), ..Default::default() };
                $(
                    let _ = stringify!($hides);
                    request.show_deleted = show_deleted;
                )?
                let _ = show_deleted;
                Ok(answered(of.$client.$list(request).await?, |page| (page.$fields, page.next_page_token)))
            }

            fn wrap(self) -> Entity {
                Entity { entity: Some(entity::Entity::$entity(self)) }
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

            fn field(&mut self) -> &mut String {
                let field: fn(&mut Self) -> &mut String = $change;
                field(self)
            }
        }
    )+};
}

kinds! {
    Asset (assets, asset, assets, asset_id, asset_ids, "name", |it| &mut it.name) {
        create_asset CreateAssetRequest,
        get_asset |id, min_revision| GetAssetRequest { asset_id: id, min_revision, at_revision: 0 },
        batch_get_assets BatchGetAssetsRequest batch_get_assets_response,
        update_asset UpdateAssetRequest,
        delete_asset DeleteAssetRequest,
        list_assets ListAssetsRequest hiding deleted,
    }
    Chain (chains, chain, chains, chain_id, chain_ids, "name", |it| &mut it.name) {
        create_chain CreateChainRequest,
        get_chain |id, min_revision| GetChainRequest { chain_id: id, min_revision, at_revision: 0 },
        batch_get_chains BatchGetChainsRequest batch_get_chains_response,
        update_chain UpdateChainRequest,
        delete_chain DeleteChainRequest,
        list_chains ListChainsRequest,
    }
    Venue (venues, venue, venues, venue_id, venue_ids, "name", |it| &mut it.name) {
        create_venue CreateVenueRequest,
        get_venue |id, min_revision| GetVenueRequest { venue_id: id, min_revision, at_revision: 0 },
        batch_get_venues BatchGetVenuesRequest batch_get_venues_response,
        update_venue UpdateVenueRequest,
        delete_venue DeleteVenueRequest,
        list_venues ListVenuesRequest hiding deleted,
    }
    VenueAsset (venues, venue_asset, venue_assets, venue_asset_id, venue_asset_ids, "asset_id", |it| &mut it.asset_id) {
        create_venue_asset CreateVenueAssetRequest,
        get_venue_asset |id, min_revision| GetVenueAssetRequest { venue_asset_id: id, min_revision, at_revision: 0 },
        batch_get_venue_assets BatchGetVenueAssetsRequest batch_get_venue_assets_response,
        update_venue_asset UpdateVenueAssetRequest,
        delete_venue_asset DeleteVenueAssetRequest,
        list_venue_assets ListVenueAssetsRequest,
    }
    Instrument (instruments, instrument, instruments, instrument_id, instrument_ids, "labels", |it| it.labels.entry("desk".into()).or_default()) {
        create_instrument CreateInstrumentRequest,
        get_instrument |id, min_revision| {
            GetInstrumentRequest { key: Some(get_instrument_request::Key::InstrumentId(id)), min_revision, at_revision: 0 }
        },
        batch_get_instruments BatchGetInstrumentsRequest batch_get_instruments_response,
        update_instrument UpdateInstrumentRequest,
        delete_instrument DeleteInstrumentRequest,
        list_instruments ListInstrumentsRequest hiding deleted,
    }
    Market (markets, market, markets, market_id, market_ids, "tick_size", |it| &mut it.tick_size) {
        create_market CreateMarketRequest,
        get_market |id, min_revision| GetMarketRequest { market_id: id, min_revision, at_revision: 0 },
        batch_get_markets BatchGetMarketsRequest batch_get_markets_response,
        update_market UpdateMarketRequest,
        delete_market DeleteMarketRequest,
        list_markets ListMarketsRequest,
    }
}

/// A sample of an entity, and another value for its field.
pub struct Sample<K> {
    /// One that does not exist yet.
    pub new: K,
    /// Another value for its field.
    pub other: String,
}

impl<K> Sample<K> {
    /// A sample.
    pub fn new(new: K, other: &str) -> Self {
        Self { new, other: other.to_owned() }
    }
}

/// Runs a check, generic over the kind, on a sample of each; what the samples refer to is in the registry of
/// [`SampleRegistry`](crate::fixtures::SampleRegistry).
#[macro_export]
macro_rules! for_each_kind {
    ($check:ident, $clients:expr, $small:expr) => {{
        use $crate::{fixtures, kinds::Sample};
        let (clients, small) = ($clients, $small);
        $check(clients, Sample::new(fixtures::asset("ETH"), "Ether")).await;
        $check(clients, Sample::new(fixtures::chain("ethereum", "eip155:1"), "Ethereum")).await;
        $check(clients, Sample::new(fixtures::venue("okx"), "OKX")).await;
        $check(clients, Sample::new(fixtures::venue_asset("kraken", "XBT", &small.btc), &small.usdt)).await;
        $check(clients, Sample::new(fixtures::spot(&small.usdt, &small.btc), "rates")).await;
        $check(clients, Sample::new(fixtures::market("kraken", "", "XBTUSDT.M", &small.spot), "0.5")).await;
    }};
}

/// Hands the type of each kind to a macro, one after the other.
#[macro_export]
macro_rules! with_each_kind {
    ($with:ident) => {
        $with!(Asset);
        $with!(Chain);
        $with!(Venue);
        $with!(VenueAsset);
        $with!(Instrument);
        $with!(Market);
    };
}

/// One of each kind of entity, with every optional field given somewhere.
pub fn one_of_each() -> Vec<DomainEntity> {
    let (btc, usd) = (entities::asset("BTC"), entities::asset("USD"));
    let chain = entities::chain("bitcoin", "bip122:000000000019d6689c085ae165831e93", Some(btc.id));
    let on_chain =
        DomainVenue { chain_id: Some(chain.id.clone()), protocol_address: "abc".into(), ..entities::venue("dex") };
    let binding = entities::venue_asset("dex", "XBT", btc.id);
    let contract = DerivativeAssets { base: btc.id, quote: usd.id, settle: btc.id };
    let mut option = entities::instrument(Terms::Option {
        contract,
        expiry: "2026-12-25".parse().unwrap(),
        strike: "100000.5".parse().unwrap(),
        option_type: Side::Put,
        style: ExerciseStyle::American,
    });
    option.code = "BTC/USD:BTC-261225-100000.5-P".into();
    let lending = entities::instrument(entities::deposit(usd.id));
    let listed = DomainMarket {
        expiry_time: Some("2026-12-25T08:00:00Z".parse().unwrap()),
        ..entities::market("dex", "BTC-25DEC26-100000.5-P", option.id)
    };
    vec![
        btc.into(),
        usd.into(),
        chain.into(),
        on_chain.into(),
        binding.into(),
        option.into(),
        lending.into(),
        listed.into(),
    ]
}
