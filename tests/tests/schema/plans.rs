//! The plan of every statement that the store runs.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use cqar_store::{PLANNER, STATEMENTS, Store, table_schemas};
use cqar_tests::{
    entities::create,
    kinds::{examples, many},
};
use tracing::{Event, Subscriber, field::Visit, instrument::WithSubscriber};
use tracing_subscriber::{
    layer::{Context, Layer, SubscriberExt},
    registry::Registry,
};

use crate::{
    Database, Direct,
    drive::drive,
    exceptions::{EXCEPTIONS, Flaw},
};

/// Collects the statements that are traced.
#[derive(Clone, Default)]
struct Statements(Arc<Mutex<BTreeSet<String>>>);

impl<S: Subscriber> Layer<S> for Statements {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        struct Sql<'a>(&'a Statements);
        impl Visit for Sql<'_> {
            fn record_debug(&mut self, _: &tracing::field::Field, _: &dyn std::fmt::Debug) {}
            fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
                if field.name() == "sql" {
                    self.0.0.lock().unwrap().insert(value.to_owned());
                }
            }
        }
        if event.metadata().target() == STATEMENTS {
            event.record(&mut Sql(self));
        }
    }
}

/// Every statement of the store that has a plan, as it is run.
async fn statements(database: &Database) -> BTreeSet<String> {
    let collected = Statements::default();
    let subscriber = Registry::default().with(collected.clone());
    drive(&database.store, &database.other).with_subscriber(subscriber).await;
    let all = std::mem::take(&mut *collected.0.lock().unwrap());
    let has_plan = |sql: &String| ["SELECT", "INSERT", "UPDATE", "DELETE"].iter().any(|word| sql.starts_with(word));
    // Several at a time are sent as a script, and are no statement of their own.
    all.into_iter().filter(|sql| has_plan(sql) && !sql.contains(';')).collect()
}

/// Enough for a plan to matter.
const ROWS: usize = 20_000;

/// So many of each type.
async fn fill(store: &Store) {
    for of_type in many(ROWS) {
        create(store, &of_type).await;
    }
}

/// As many answered requests.
async fn fill_requests(direct: &mut Direct) {
    let (id, numbers) = match direct {
        Direct::Sqlite(_) => (
            "CAST(n AS BLOB)",
            "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) SELECT n FROM numbers",
        ),
        Direct::Postgres(_) => ("gen_random_uuid()", "SELECT generate_series(1, 20000) AS n"),
    };
    let (hash, answer) = match direct {
        Direct::Sqlite(_) => ("x'00'", "x'00'"),
        Direct::Postgres(_) => ("'\\x00'::bytea", "'\\x00'::bytea"),
    };
    let sql = format!(
        "INSERT INTO idempotent_requests (actor, method, request_id, body_hash, revision, answer, expire_us) \
         SELECT 'actor', 'method', {id}, {hash}, n, {answer}, n FROM ({numbers}) AS all_numbers"
    );
    direct.execute(&sql).await;
}

pub async fn every_statement_is_served_by_an_index(mut database: Database) {
    fill(&database.store).await;
    fill_requests(&mut database.direct).await;
    let mut statements = statements(&database).await;
    assert!(statements.len() > 60, "{statements:#?}");
    if matches!(database.direct, Direct::Sqlite(_)) {
        // The relay's memory is in a file of its own, with a handful of rows.
        statements.retain(|sql| !sql.contains(" relay_"));
    }
    if matches!(database.direct, Direct::Postgres(_)) {
        let looked_up = table_schemas().into_iter().flat_map(|table| {
            let filters = table.filters.iter().flat_map(|filter| filter.columns);
            filters.chain(table.references.iter().map(|it| &it.column)).map(|it| [table.name, it].map(str::to_owned))
        });
        assert_eq!(database.direct.rare_columns().await, looked_up.collect(), "what is looked up counts as rare");
        plan_as_the_store_does(&mut database.direct).await;
    }
    // As it was filled; and SQLite keeps no statistics unless it is told to: plans must not depend on them.
    each_is_served(&mut database.direct, &statements).await;
    database.direct.execute("ANALYZE").await;
    each_is_served(&mut database.direct, &statements).await;
}

async fn plan_as_the_store_does(direct: &mut Direct) {
    for (name, value) in PLANNER {
        direct.execute(&format!("SET {name} = {value}")).await;
    }
}

/// A plan is kept until its table is analyzed. Those that a server makes on an empty database are good ones. Those of tables with a row
/// or two need not be, and are replaced once the tables are large, without waiting for PostgreSQL's own analysis.
pub async fn plans_from_when_the_tables_were_empty_are_served_by_an_index() {
    let filled = Database::postgres().await;
    fill(&filled.store).await;
    let statements = statements(&filled).await;
    let mut database = Database::postgres().await;
    for table in table_schemas() {
        database.direct.execute(&format!("ALTER TABLE {} SET (autovacuum_enabled = off)", table.name)).await;
    }
    plan_as_the_store_does(&mut database.direct).await;
    for (n, sql) in statements.iter().enumerate() {
        database.direct.execute(&format!("PREPARE kept_{n} AS {sql}")).await;
    }
    let mut wrong = kept_flaws(&mut database.direct, &statements).await;
    create(&database.store, &examples()).await;
    database.direct.execute("ANALYZE").await;
    kept_flaws(&mut database.direct, &statements).await;
    fill(&database.store).await;
    database.is_analyzed(ROWS).await;
    wrong.extend(kept_flaws(&mut database.direct, &statements).await);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

async fn kept_flaws(direct: &mut Direct, statements: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (n, sql) in statements.iter().enumerate() {
        let plan = direct.kept_plan(&format!("kept_{n}"), sql).await;
        wrong.extend(unexcused(sql, &plan));
    }
    wrong
}

async fn each_is_served(direct: &mut Direct, statements: &BTreeSet<String>) {
    let mut wrong = Vec::new();
    for sql in statements {
        let plan = direct.plan(sql).await;
        wrong.extend(unexcused(sql, &plan));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// The flaws of a plan that are no exceptions.
fn unexcused(sql: &str, plan: &str) -> Vec<String> {
    let is_excused = |flaw: &Flaw| EXCEPTIONS.iter().any(|(of, part, _)| of == flaw && sql.contains(part));
    let wrong = flaws(sql, plan).into_iter().filter(|flaw| !is_excused(flaw));
    wrong.map(|flaw| format!("{flaw:?}: {sql}\n{plan}")).collect()
}

/// The index that is to lead to the rows of a list, where there is one.
fn leading_index(sql: &str) -> Option<&'static str> {
    let (from, filter) = sql.split_once(" WHERE ")?;
    let table = table_schemas().into_iter().find(|table| from.ends_with(&format!(" FROM {} e", table.name)))?;
    let is_compared =
        |column: &&str| filter.contains(&format!("e.{column} = $")) && !filter.contains(&format!("+e.{column} = $"));
    let leading = table.filters.iter().find(|filter| filter.columns.iter().all(is_compared))?;
    Some(leading.index)
}

/// What a plan does that takes time with the size of a table.
fn flaws(sql: &str, plan: &str) -> Vec<Flaw> {
    let tables = table_schemas().map(|table| table.name);
    let growing = tables.iter().copied().chain([
        "event_log",
        "unique_keys",
        "once_referred",
        "market_aliases",
        "idempotent_requests",
    ]);
    // Under the names that statements give them.
    let growing = growing.chain(["e", "m", "a", "v", "i", "base", "quote", "settle"]);
    let mut found = Vec::new();
    let scans = |line: &str| {
        let scanned = line.trim_start().trim_start_matches("->").trim_start();
        let of_sqlite = scanned.strip_prefix("SCAN ").map(|rest| rest.split(' ').next().unwrap_or_default());
        let of_postgres = scanned.strip_prefix("Seq Scan on ").map(|rest| rest.split(' ').next().unwrap_or_default());
        of_sqlite.or(of_postgres).is_some_and(|name| growing.clone().any(|table| table == name))
    };
    // A walk along all of an index is one, too.
    let conditions = plan.matches("Index Cond: ").count();
    let walks = plan.lines().filter(|line| line.contains("Index Scan using") || line.contains("Index Only Scan using"));
    let walks_all = walks.count() > conditions;
    if plan.lines().any(scans) || walks_all {
        found.push(Flaw::Scan);
    }
    if ["TEMP B-TREE", "Sort", "HashAggregate"].iter().any(|sort| plan.contains(sort)) {
        found.push(Flaw::Sort);
    }
    // Only the range of the ids is looked up, and the statement asks for more.
    let ranges = ["(id>?", "(id<?", "Index Cond: (id ", "Index Cond: ((id >"];
    let by_range = ranges.iter().any(|range| plan.contains(range)) && !plan.contains("Index Cond: (id = ");
    let compares = sql.contains("e.") && sql.split(" WHERE ").nth(1).is_some_and(|it| it.matches(" AND ").count() > 0);
    let is_filtered = sql.split(" WHERE ").nth(1).is_some_and(|it| it.replace("e.id", "").contains("e."));
    if by_range && compares && is_filtered {
        found.push(Flaw::PrimaryKeyAlone);
    }
    let symbols = sql.contains("m.venue_symbol").then_some("markets_symbol");
    let variants =
        ["WHERE e.to_asset_id", "e.type IN"].iter().all(|it| sql.contains(it)).then_some("relationships_to_type");
    if leading_index(sql).into_iter().chain(symbols).chain(variants).any(|index| !plan.contains(index)) {
        found.push(Flaw::OtherIndex);
    }
    found
}

pub async fn statements_are_those_of_the_snapshot(database: Database) {
    let dialect = if matches!(database.direct, Direct::Postgres(_)) { "postgres" } else { "sqlite" };
    let statements = statements(&database).await;
    let text: BTreeSet<String> = statements.iter().map(|sql| shortened(sql)).collect();
    let text = text.into_iter().collect::<Vec<_>>().join("\n\n");
    insta::with_settings!({ prepend_module_to_snapshot => false, snapshot_path => "snapshots", omit_expression => true }, {
        insta::assert_snapshot!(dialect, text);
    });
}

/// Lists of values without their length, which differs from call to call.
fn shortened(sql: &str) -> String {
    let mut short = String::with_capacity(sql.len());
    let mut rest = sql;
    while let Some(begin) = rest.find('(') {
        let (before, list) = rest.split_at(begin);
        short.push_str(before);
        let end = list.find(')').unwrap_or(list.len() - 1);
        let (list, after) = list.split_at(end + 1);
        let is_values = list.trim_matches(['(', ')']).split(',').all(|it| it == "?" || it.starts_with('$'));
        short.push_str(if is_values { "(…)" } else { list });
        rest = after;
    }
    short.push_str(rest);
    while short.contains("(…),(…)") {
        short = short.replace("(…),(…)", "(…)");
    }
    short
}
