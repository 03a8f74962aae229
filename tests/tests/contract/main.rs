//! The contract, as a client sees it.
//!
//! | module | subject |
//! |---|---|
//! | `crud` | create, read, change, delete |
//! | `chains`, `deployments`, `identifiers` | what assets are on chains, and what others call them |
//! | `relationships` | what assets are of one another |
//! | `paging` | pages while others write |
//! | `lists` | pages, filters, revisions of reads |
//! | `requests` | a repeated request is answered again |
//! | `apply` | many mutations, all or none |
//! | `resolve` | a symbol to its market |
//! | `moments` | what a symbol means as time and writes go on |
//! | `format` | an instrument to its symbol |
//! | `bounds` | answers are bounded by bytes |
//! | `venue_assets` | what venues know by a code, and by which networks it moves |
//! | `states` | what a request may leave behind, and which of several a creation means |
//! | `bad_input` | what is refused, by name |
//! | `instruments` | lending, codes, and assets that share a symbol |
//! | `listing` | listings that are made up, and how they are imported |
//! | `import`, `import_assets`, `import_moments` | what an import does, which assets it takes, of when it speaks |
//! | `import_identity` | which market a row is about, and what puts one in the place of another |
//! | `import_life`, `import_month` | a venue that is followed: the cases of the field, and a month against a model |
//! | `import_documents` | what a plugin may say in a listing, and what comes of it |
//! | `real_listings` | Binance as it was in 2021 |
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

mod apply;
mod bad_input;
mod bounds;
mod chains;
mod crud;
mod deployments;
mod format;
mod identifiers;
mod import;
mod import_assets;
mod import_documents;
mod import_identity;
mod import_life;
mod import_moments;
mod import_month;
mod instruments;
mod listing;
mod lists;
mod moments;
mod paging;
mod real_listings;
mod relationships;
mod requests;
mod resolve;
mod states;
mod venue_assets;
