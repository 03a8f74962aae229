//! Metadata of the tables, held against the entities and against both databases; and the plan of every statement of the store,
//! held against what a table that grows can bear.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod drive;
mod exceptions;
mod plans;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use cqar_domain::{
    entities::{
        Entity, EntityVariant,
        asset::Asset,
        instrument::{DerivativeAssets, Terms},
    },
    id::{AssetId, EntityType},
    time::SystemClock,
};
use cqar_store::{Store, StoreSettings, schema::TableSchema, table_schemas};
use cqar_tests::{
    entities::{create, instrument},
    kinds,
    postgres::Postgres,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};
use tempfile::TempDir;

/// A database with the schema, a store on it, and a connection of its own beside that.
struct Database {
    store: Arc<Store>,
    /// Another server's.
    other: Arc<Store>,
    direct: Direct,
    _sqlite: Option<TempDir>,
    _postgres: Option<Postgres>,
}

enum Direct {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// Has tracing ask each time who is interested in a statement. It remembers what nobody was interested in when it was first run, which
/// here is before the subscriber that collects them is there; and where one is made while another thread runs a statement first, what
/// is remembered may be wrong.
fn keep_tracing() {
    static KEPT: OnceLock<tracing::Dispatch> = OnceLock::new();
    KEPT.get_or_init(|| tracing::Dispatch::new(tracing_subscriber::Registry::default()));
}

impl Database {
    async fn sqlite() -> Self {
        keep_tracing();
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/cqar.db", folder.path().display());
        let (store, other) = (open(&url).await, open(&url).await);
        let direct = Direct::Sqlite(SqliteConnection::connect(&url).await.unwrap());
        Self { store, other, direct, _sqlite: Some(folder), _postgres: None }
    }

    async fn postgres() -> Self {
        keep_tracing();
        let postgres = Postgres::start();
        let (store, other) = (open(postgres.url()).await, open(postgres.url()).await);
        let direct = Direct::Postgres(PgConnection::connect(postgres.url()).await.unwrap());
        Self { store, other, direct, _sqlite: None, _postgres: Some(postgres) }
    }
}

impl Database {
    /// Waits until PostgreSQL knows that each table has so many rows.
    async fn is_analyzed(&mut self, rows: usize) {
        let names: Vec<String> = table_schemas().iter().map(|table| format!("'{}'", table.name)).collect();
        let sql = format!("SELECT min(reltuples)::int8::text FROM pg_class WHERE relname IN ({})", names.join(", "));
        let begun = Instant::now();
        while self.direct.texts(&sql).await.concat().concat().parse::<usize>().unwrap() < rows {
            assert!(begun.elapsed() < Duration::from_mins(1), "no table of many new rows stays as it was analyzed");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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
    async fn plan(&mut self, sql: &str) -> String {
        match self {
            // What is not bound is NULL, and plans are made before values are bound.
            Self::Sqlite(connection) => {
                let sql = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
                let rows = sqlx::raw_sql(sql).fetch_all(connection).await.unwrap();
                rows.iter().map(|row| row.get::<String, _>(row.len() - 1)).collect::<Vec<_>>().join("\n")
            }
            Self::Postgres(_) => {
                self.execute(&format!("PREPARE planned AS {sql}")).await;
                let plan = self.kept_plan("planned", sql).await;
                self.execute("DEALLOCATE planned").await;
                plan
            }
        }
    }

    /// The plan of a statement that was prepared under a name, which PostgreSQL makes when it is first asked for.
    async fn kept_plan(&mut self, name: &str, sql: &str) -> String {
        let values = (1..1000).take_while(|n| sql.contains(&format!("${n}"))).count();
        let nulls = vec!["NULL"; values].join(", ");
        let arguments = if values == 0 { String::new() } else { format!("({nulls})") };
        self.texts(&format!("EXPLAIN EXECUTE {name}{arguments}")).await.concat().join("\n")
    }

    async fn execute(&mut self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(connection) => drop(sqlx::raw_sql(sql).execute(connection).await.unwrap()),
            Self::Postgres(connection) => drop(sqlx::raw_sql(sql).execute(connection).await.unwrap()),
        }
    }

    /// Table and column of every column whose values count as rare; none of SQLite, which keeps no statistics.
    async fn rare_columns(&mut self) -> BTreeSet<[String; 2]> {
        let sql = "SELECT attrelid::regclass::text, attname::text FROM pg_attribute \
            WHERE array_to_string(attoptions, ',') LIKE 'n_distinct=-%'";
        self.texts(sql).await.into_iter().map(|row| row.try_into().unwrap()).collect()
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
    let mut examples = kinds::examples();
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
        .filter(|table| table.foreign_keys)
        .flat_map(|table| table.references.iter().map(move |it| [table.name, it.column, table_of(it.target).name]))
        .map(|row| row.map(str::to_owned))
        .collect();
    let names: BTreeSet<&str> = table_schemas().into_iter().map(|table| table.name).collect();
    let mut keys = database.direct.foreign_keys().await;
    keys.retain(|[table, ..]| names.contains(table.as_str()));
    assert_eq!(stated, keys, "the references are the foreign keys, where the writer does not check them");

    // By the type that refers and the one that is referred to.
    let mut most: BTreeMap<(EntityType, EntityType), usize> = BTreeMap::new();
    let mut snapshot = database.store.snapshot().await.unwrap();
    for entity in &examples {
        let (key, references) = (entity.key(), entity.references());
        let table = table_of(key.entity_type());
        for (field, target) in &references {
            let is_stated = table.references.iter().any(|it| it.target == target.entity_type())
                || table.list_references.iter().any(|it| it.field == *field && it.target == target.entity_type());
            assert!(is_stated, "{field} of {key} is a reference of table {}", table.name);
            let referrers = snapshot.referrers(std::slice::from_ref(target), 100).await.unwrap().remove(0);
            assert!(referrers.contains(&key), "{key} is a referrer of {target}");
        }
        for target in EntityType::ALL {
            let is_listed = |field: &str| table.list_references.iter().any(|it| it.field == field);
            let count = references.iter().filter(|(field, it)| it.entity_type() == target && !is_listed(field)).count();
            let most = most.entry((key.entity_type(), target)).or_default();
            *most = count.max(*most);
        }
    }
    for target in examples.iter().map(Entity::key) {
        for referrer in snapshot.referrers(std::slice::from_ref(&target), 100).await.unwrap().remove(0) {
            let found = snapshot.entities(std::slice::from_ref(&referrer)).await.unwrap().remove(0).unwrap();
            let refers = found.references().iter().any(|(_, it)| *it == target);
            assert!(refers, "{referrer} is found as a referrer of {target}, and says so itself");
        }
    }
    for table in table_schemas() {
        for list in table.list_references {
            let has_it = |entity: &Entity| {
                entity.key().entity_type() == table.entity_type
                    && entity
                        .references()
                        .iter()
                        .any(|(field, it)| *field == list.field && it.entity_type() == list.target)
            };
            assert!(examples.iter().any(has_it), "there is an example of {list:?} of {}", table.name);
        }
        for target in EntityType::ALL {
            let columns = table.references.iter().filter(|it| it.target == target).count();
            assert_eq!(columns, most[&(table.entity_type, target)], "{} visits each of its references", table.name);
        }
    }
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
}

mod plans_sqlite {
    use super::{Database, plans};

    #[tokio::test(flavor = "multi_thread")]
    async fn every_statement_is_served_by_an_index() {
        plans::every_statement_is_served_by_an_index(Database::sqlite().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statements_are_those_of_the_snapshot() {
        plans::statements_are_those_of_the_snapshot(Database::sqlite().await).await;
    }
}

mod plans_postgres {
    use super::{Database, plans};

    #[tokio::test(flavor = "multi_thread")]
    async fn every_statement_is_served_by_an_index() {
        plans::every_statement_is_served_by_an_index(Database::postgres().await).await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn plans_from_when_the_tables_were_empty_are_served_by_an_index() {
        plans::plans_from_when_the_tables_were_empty_are_served_by_an_index().await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn statements_are_those_of_the_snapshot() {
        plans::statements_are_those_of_the_snapshot(Database::postgres().await).await;
    }
}
