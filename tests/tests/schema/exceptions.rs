//! The plans that may do what others may not, and why. A new exception is a decision.

/// What a plan does that takes time with the size of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It reads a whole table that grows.
    Scan,
    /// It sorts what it found.
    Sort,
    /// It looks along the primary key for what the filter wants.
    PrimaryKeyAlone,
    /// It finds rows by another index than the one that is meant for them.
    OtherIndex,
}

/// Why a list that leaves out what is marked as deleted looks at everything, 10,000 rows a page.
const MARKED: &str = "little is ever marked as deleted";

/// Why what settles in an asset is looked for along all instruments.
const SETTLE: &str =
    "nearly all settle in their base or quote, which has an index; another one would cost every import";
/// Why days and prices have no index.
const WINDOW: &str = "a day or a price is asked for along with the base, which leads; alone it chooses little";

/// The flaw, a part of the statements that have it, and why that is borne.
pub const EXCEPTIONS: &[(Flaw, &str, &str)] = &[
    (
        Flaw::Scan,
        " e ORDER BY e.id LIMIT 1 OFFSET 9999",
        "10,000 entries of the primary key, in its order, and no more",
    ),
    (Flaw::Scan, " e WHERE e.id > $1 ORDER BY e.id LIMIT 1 OFFSET 9999", "the same"),
    (Flaw::Scan, " e WHERE e.delete_us IS NULL ORDER BY e.id LIMIT", MARKED),
    (Flaw::Scan, "FROM schema_migrations ORDER BY number", "a row for each migration"),
    (Flaw::Scan, " e ORDER BY e.id LIMIT $1", "the first page of a list of everything: as many rows as the page has"),
    (Flaw::PrimaryKeyAlone, " e WHERE e.delete_us IS NULL", MARKED),
    (Flaw::PrimaryKeyAlone, " e WHERE e.id > $1 AND e.delete_us IS NULL", MARKED),
    (Flaw::PrimaryKeyAlone, " e WHERE e.id <= $1 AND e.delete_us IS NULL", MARKED),
    (Flaw::PrimaryKeyAlone, " e WHERE e.id > $1 AND e.id <= $2 AND e.delete_us IS NULL", MARKED),
    (Flaw::PrimaryKeyAlone, "FROM assets e WHERE e.type = $1", "a type of thirteen chooses little"),
    (Flaw::PrimaryKeyAlone, "FROM assets e WHERE REPLACE(e.labels", "labels are the operator's, and of any names"),
    (Flaw::PrimaryKeyAlone, "FROM relationships e WHERE e.type = $1", "a type of eight chooses little"),
    (
        Flaw::PrimaryKeyAlone,
        "FROM venue_assets e WHERE e.segment = $1",
        "a segment without its venue is hardly asked for",
    ),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE e.settle_asset_id = $1", SETTLE),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE e.kind = $1 AND e.settle_asset_id = $2", SETTLE),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE e.expiry", WINDOW),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE CAST(e.strike", WINDOW),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE (INSTR(e.strike", WINDOW),
    (Flaw::PrimaryKeyAlone, "FROM chains e WHERE e.status = $1", "nearly all chains are active"),
    (Flaw::PrimaryKeyAlone, "FROM venues e WHERE e.type = $1", "there are a few dozen venues"),
    (Flaw::PrimaryKeyAlone, "FROM instruments e WHERE e.kind = $1", "a kind of six chooses little"),
    (Flaw::PrimaryKeyAlone, "FROM markets e WHERE e.segment = $1", "a segment without its venue is hardly asked for"),
    (Flaw::PrimaryKeyAlone, "FROM markets e WHERE e.status = $1", "most markets are active"),
    (Flaw::PrimaryKeyAlone, "FROM markets e WHERE (e.listed_us", "most markets are live"),
    (
        Flaw::Sort,
        "AS base_asset_id UNION",
        "at most as many ids of each of three indexes as are asked for: 20,001 when an asset gets a new symbol",
    ),
];
