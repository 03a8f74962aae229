//! Metadata of the tables, held against the entities and against both databases: a reference or an index that is
//! stated in one place and forgotten in another fails here.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use cqar_domain::{
    entities::{
        Entity, EntityVariant,
        asset::{Asset, AssetType},
        chain::Chain,
        instrument::{DerivativeAssets, Instrument, Terms},
        market::Market,
        venue::{Venue, VenueType},
        venue_asset::VenueAsset,
    },
    id::{AssetId, EntityType},
    time::SystemClock,
};
use cqar_store::{
    Store, StoreSettings, planned_statements,
    schema::{PlannedStatement, TableSchema},
    table_schemas,
};
use cqar_tests::{
    entities::{asset, chain, create, deposit, instrument, market, venue, venue_asset},
    kinds::one_of_each,
    postgres::Postgres,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

/// A database with the schema, a store on it, and a connection of its own beside that.
struct Database {
    store: Arc<Store>,
    direct: Direct,
    _sqlite: Option<TempDir>,
    _postgres: Option<Postgres>,
}

enum Direct {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Database {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cqar.db", folder.path().display());
        let store = open(&url).await;
        let direct = Direct::Sqlite(SqliteConnection::connect(&url).await.unwrap());
        Self { store, direct, _sqlite: Some(folder), _postgres: None }
    }

    async fn postgres() -> Self {
        let postgres = Postgres::start();
        let store = open(postgres.url()).await;
        let direct = Direct::Postgres(PgConnection::connect(postgres.url()).await.unwrap());
        Self { store, direct, _sqlite: None, _postgres: Some(postgres) }
    }
}

async fn open(url: &str) -> Arc<Store> {
    let settings = StoreSettings::new(url);
    let store = Store::open(&settings, Arc::new(SystemClock), &prometheus::Registry::new()).await.unwrap();
    store.migrate_up().await.unwrap();
    Arc::new(store)
}

impl Direct {
    /// Rows of texts.
    async fn texts(&mut self, sql: &str) -> Vec<Vec<String>> {
        macro_rules! read {
            ($connection:expr) => {{
                let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all($connection).await;
                let rows = rows.unwrap_or_else(|error| panic!("{error}: {sql}"));
                let texts = |row: &_| (0..Row::len(row)).map(|n| Row::get::<String, _>(row, n)).collect();
                rows.iter().map(texts).collect()
            }};
        }
        match self {
            Self::Sqlite(connection) => read!(connection),
            Self::Postgres(connection) => read!(connection),
        }
    }

    /// The plan of a statement for values that are not known.
    async fn plan(&mut self, statement: &PlannedStatement) -> String {
        let lines = match self {
            // What is not bound is NULL, and plans are made before values are bound.
            Self::Sqlite(_) => {
                let rows = self.texts_of_last(&format!("EXPLAIN QUERY PLAN {}", statement.sql)).await;
                return rows.join("\n");
            }
            Self::Postgres(_) => {
                let nulls = vec!["NULL"; statement.values].join(", ");
                let prepare = format!("PREPARE planned AS {}", statement.sql);
                self.execute(&prepare).await;
                let lines = self.texts(&format!("EXPLAIN EXECUTE planned({nulls})")).await;
                self.execute("DEALLOCATE planned").await;
                lines
            }
        };
        lines.concat().join("\n")
    }

    /// The last column, whatever the types of the others.
    async fn texts_of_last(&mut self, sql: &str) -> Vec<String> {
        let Self::Sqlite(connection) = self else { panic!("for SQLite") };
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>(row.len() - 1)).collect()
    }

    async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => drop(sqlx::raw_sql(sql).execute(connection).await.unwrap()),
            Self::Postgres(connection) => drop(sqlx::raw_sql(sql).execute(connection).await.unwrap()),
        }
    }

    /// Table, column and table referred to, of every foreign key.
    async fn foreign_keys(&mut self) -> BTreeSet<[String; 3]> {
        let sql = match self {
            Self::Sqlite(_) => {
                "SELECT m.name, f.\"from\", f.\"table\" FROM sqlite_master m JOIN pragma_foreign_key_list(m.name) f \
                 WHERE m.type = 'table'"
            }
            Self::Postgres(_) => {
                "SELECT c.conrelid::regclass::text, a.attname::text, c.confrelid::regclass::text FROM pg_constraint c \
                 JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey) WHERE c.contype = 'f'"
            }
        };
        self.texts(sql).await.into_iter().map(|row| row.try_into().unwrap()).collect()
    }
}

fn table_of(entity_type: EntityType) -> &'static TableSchema {
    table_schemas().into_iter().find(|table| table.entity_type == entity_type).unwrap()
}

/// One of each type, and an instrument of each kind.
fn examples() -> Vec<Entity> {
    let mut examples = one_of_each();
    let assets: Vec<AssetId> = examples.iter().filter_map(Asset::of).map(|it| it.id).collect();
    let contract = DerivativeAssets { base: assets[0], quote: assets[1], settle: assets[0] };
    let protocol = "aave-v3".parse().unwrap();
    let kinds = [
        Terms::Spot { base: assets[0], quote: assets[1] },
        Terms::Perpetual(contract),
        Terms::Future { contract, expiry: "2026-12-25".parse().unwrap() },
        Terms::LendingBorrow { underlying: assets[0], protocol },
    ];
    examples.extend(kinds.map(|terms| instrument(terms).into()));
    examples
}

async fn references_are_those_of_the_entities_and_of_the_database(mut database: Database) {
    let examples = examples();
    let types: BTreeSet<EntityType> = examples.iter().map(|it| it.key().entity_type()).collect();
    assert_eq!(types, EntityType::ALL.into(), "there is an example of each");
    create(&database.store, &examples).await;

    let stated: BTreeSet<[String; 3]> = table_schemas()
        .into_iter()
        .flat_map(|table| table.references.iter().map(move |it| [table.name, it.column, table_of(it.target).name]))
        .map(|row| row.map(str::to_owned))
        .collect();
    let names: BTreeSet<&str> = table_schemas().into_iter().map(|table| table.name).collect();
    let mut keys = database.direct.foreign_keys().await;
    keys.retain(|[table, ..]| names.contains(table.as_str()));
    assert_eq!(stated, keys, "the tables' references are the foreign keys");

    let mut most: BTreeMap<EntityType, usize> = BTreeMap::new();
    let mut snapshot = database.store.snapshot().await.unwrap();
    for entity in &examples {
        let (key, references) = (entity.key(), entity.references());
        let table = table_of(key.entity_type());
        for (field, target) in &references {
            let is_stated = table.references.iter().any(|it| it.target == target.entity_type());
            assert!(is_stated, "{field} of {key} is a reference of table {}", table.name);
            let referrers = snapshot.referrers(target, 100).await.unwrap();
            assert!(referrers.iter().any(|it| it.key() == key), "{key} is a referrer of {target}");
        }
        let most = most.entry(key.entity_type()).or_default();
        *most = references.len().max(*most);
    }
    for target in examples.iter().map(Entity::key) {
        for referrer in snapshot.referrers(&target, 100).await.unwrap() {
            let refers = referrer.references().iter().any(|(_, it)| *it == target);
            assert!(refers, "{} is found as a referrer of {target}, and says so itself", referrer.key());
        }
    }
    for table in table_schemas() {
        assert_eq!(table.references.len(), most[&table.entity_type], "{} visits each of its references", table.name);
    }
}

/// Enough for a plan to matter.
const ROWS: usize = 20_000;

/// So many of each type, spread over the types, kinds and venues that there are.
async fn fill(store: &Store) {
    use AssetType::{Coin, Commodity, Equity, Fiat, Index, Nft, Stablecoin, Token};
    use VenueType::{Bridge, Cex, Dex, DexAggregator, Lending, Otc};
    let asset_types = [Coin, Token, Stablecoin, Nft, Fiat, Commodity, Equity, Index];
    let venue_types = [Cex, Dex, DexAggregator, Bridge, Lending, Otc];
    let assets: Vec<Asset> =
        (0..ROWS).map(|n| Asset { asset_type: asset_types[n % 8], ..asset(&format!("S{n}")) }).collect();
    let chains: Vec<Chain> =
        (0..ROWS).map(|n| chain(&format!("c{n}"), &format!("eip155:{n}"), Some(assets[n].id))).collect();
    let venues: Vec<Venue> = (0..ROWS)
        .map(|n| Venue {
            venue_type: venue_types[n % 6],
            chain_id: Some(chains[n].id.clone()),
            ..venue(&format!("v{n}"))
        })
        .collect();
    // Two hundred venues have all the codes and markets.
    let codes: Vec<VenueAsset> =
        (0..ROWS).map(|n| venue_asset(&format!("v{}", n % 200), &format!("C{n}"), assets[n].id)).collect();
    let terms = |n: usize| match n % 2 {
        0 => Terms::Spot { base: assets[n].id, quote: assets[(n + 1) % ROWS].id },
        _ => deposit(assets[n].id),
    };
    let instruments: Vec<Instrument> =
        (0..ROWS).map(|n| Instrument { code: format!("I{n}"), ..instrument(terms(n)) }).collect();
    let markets: Vec<Market> = (0..ROWS)
        .map(|n| Market {
            segment: ["spot", "margin"][n / 200 % 2].parse().unwrap(),
            ..market(&format!("v{}", n % 200), &format!("M{n}"), instruments[n].id)
        })
        .collect();
    create(store, &assets.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
    create(store, &chains.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
    create(store, &venues.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
    create(store, &codes.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
    create(store, &instruments.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
    create(store, &markets.into_iter().map(Entity::from).collect::<Vec<_>>()).await;
}

async fn every_list_and_every_search_for_referrers_has_its_index(mut database: Database) {
    fill(&database.store).await;
    if matches!(database.direct, Direct::Postgres(_)) {
        database.direct.execute("SET plan_cache_mode = force_generic_plan").await;
    } else {
        // SQLite keeps no statistics unless it is told to: plans must not depend on them.
        each_has_its_index(&mut database.direct).await;
    }
    database.direct.execute("ANALYZE").await;
    each_has_its_index(&mut database.direct).await;
}

async fn each_has_its_index(direct: &mut Direct) {
    let statements = planned_statements();
    assert!(statements.len() > 12, "{statements:#?}");
    let mut wrong = Vec::new();
    for statement in statements {
        let plan = direct.plan(&statement).await;
        // Where several indexes serve a statement, which of them is the planner's choice.
        let table = table_schemas().into_iter().find(|table| table.name == statement.table).unwrap();
        let of_table = table.filters.iter().map(|it| it.index).chain(table.references.iter().map(|it| it.index));
        let is_served = statement.indexes.len() == 1 && of_table.into_iter().any(|index| plan.contains(index));
        let unused = statement.indexes.iter().filter(|index| !is_served && !plan.contains(**index));
        let unused = unused.map(|index| (*index, "is not used"));
        // A scan of one of the table's indexes in full, or a sort of what was found, reads a table that grows.
        let slow = ["SCAN e", "SCAN instruments", "TEMP B-TREE", "Seq Scan", "Sort"].into_iter();
        let slow = slow.filter(|it| plan.contains(it)).map(|it| (it, "is in the plan"));
        wrong.extend(unused.chain(slow).map(|(what, is)| format!("{what} {is}: {}\n{plan}", statement.sql)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

macro_rules! on_both {
    ($($name:ident)*) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Database::sqlite().await).await;
            })*
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                super::$name(super::Database::postgres().await).await;
            })*
        }
    };
}

on_both! {
    references_are_those_of_the_entities_and_of_the_database
    every_list_and_every_search_for_referrers_has_its_index
}
