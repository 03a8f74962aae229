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

/// The files that list all types of entity. What else is about all of them follows from these.
const LISTS: [&str; 4] = [
    "host/cqar/src/cli/entities/mod.rs",
    "host/domain/src/entities/mod.rs",
    "host/store/src/tables/mod.rs",
    "proto/src/convert/entities/mod.rs",
];

/// The type of a name: `VenueAsset` of `venue_asset`.
fn capitalised(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(capital).collect()
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

/// Whether a type or a module is named.
fn names(source: &str, name: &str) -> bool {
    source.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

#[test]
fn four_files_list_all_types_of_entity() {
    let mut files = Vec::new();
    for folder in ["host", "proto/src"] {
        sources(&repository().join(folder), &mut files);
    }
    assert!(files.len() > 100, "{}", files.len());
    let lists_all = |path: &&PathBuf| {
        let source = fs::read_to_string(path).unwrap();
        let all = |is_listed: &dyn Fn(&str) -> bool| EntityType::ALL.iter().all(|of| is_listed(of.name()));
        all(&|name| names(&source, &capitalised(name))) || all(&|name| source.contains(&format!("mod {name};")))
    };
    let relative = |path: &PathBuf| path.strip_prefix(repository()).unwrap().display().to_string();
    let mut found: Vec<String> = files.iter().filter(lists_all).map(relative).collect();
    found.sort();
    assert_eq!(found, LISTS);
}
