//! What a new type of entity costs: the files that must know all types, and nothing else.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cqar_domain::id::EntityType;
use cqar_tests::server::repository;

/// The files that match on all types of entity, and so do not compile until a new one is in them.
const LISTS: [&str; 3] =
    ["host/domain/src/entities/mod.rs", "host/domain/src/id.rs", "proto/src/convert/entities/mod.rs"];

/// The variant of a type, in whichever enumeration: `VenueAsset` of `venue_asset`.
fn variant(entity_type: EntityType) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    entity_type.name().split('_').map(capital).collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Whether a variant of that name is named: `Entity::Asset`, `Self::Asset`, `Message::Asset` …, but not the type `asset::Asset`.
fn names_variant(source: &str, variant: &str) -> bool {
    source.match_indices(&format!("::{variant}")).any(|(at, found)| {
        let word = |c: char| c.is_alphanumeric() || c == '_';
        let ends = source[at + found.len()..].chars().next().is_none_or(|next| !word(next));
        let owner = source[..at].rsplit(|c: char| !word(c)).next().unwrap_or_default();
        ends && owner.starts_with(char::is_uppercase)
    })
}

#[test]
fn the_list_of_types_has_every_type() {
    let source = fs::read_to_string(repository().join("host/domain/src/id.rs")).unwrap();
    let declared = source.split("pub enum EntityType {").nth(1).unwrap().split('}').next().unwrap();
    let declared: Vec<&str> = declared.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
    assert_eq!(declared, EntityType::ALL.map(variant));
}

#[test]
fn three_files_match_on_all_types_of_entity() {
    let mut files = Vec::new();
    for folder in ["host", "proto/src"] {
        sources(&repository().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    let variants = EntityType::ALL.map(variant);
    let matches_all = |path: &&PathBuf| {
        let source = fs::read_to_string(path).unwrap();
        variants.iter().all(|variant| names_variant(&source, variant))
    };
    let relative = |path: &PathBuf| path.strip_prefix(repository()).unwrap().display().to_string();
    let mut found: Vec<String> = files.iter().filter(matches_all).map(relative).collect();
    found.sort();
    assert_eq!(found, LISTS);
}
