//! The architecture: dependencies point one way, and each library has the one crate that may name it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that panics is a test that fails"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Command,
};

use cqar_tests::server::repository;
use serde_json::Value;

/// What each crate may name of the workspace. `domain ← proto ← {store, cache, events, plugins} ← registry ← api ← cqar`.
const LAYERS: [(&str, &[&str]); 9] = [
    ("cqar-domain", &[]),
    ("cqar-proto", &["cqar-domain"]),
    ("cqar-store", &["cqar-domain", "cqar-proto"]),
    ("cqar-cache", &["cqar-domain", "cqar-proto"]),
    ("cqar-events", &["cqar-domain", "cqar-proto"]),
    ("cqar-plugins", &["cqar-domain", "cqar-proto"]),
    ("cqar-registry", &["cqar-domain", "cqar-proto", "cqar-store", "cqar-cache", "cqar-events", "cqar-plugins"]),
    (
        "cqar-api",
        &["cqar-domain", "cqar-proto", "cqar-store", "cqar-cache", "cqar-events", "cqar-plugins", "cqar-registry"],
    ),
    (
        "cqar",
        &[
            "cqar-domain",
            "cqar-proto",
            "cqar-store",
            "cqar-cache",
            "cqar-events",
            "cqar-plugins",
            "cqar-registry",
            "cqar-api",
        ],
    ),
];

/// Libraries, by the beginning of their names, and the crates that may name them.
const OWNERS: [(&str, &[&str]); 5] = [
    ("sqlx", &["cqar-store"]),
    ("wasmtime", &["cqar-plugins"]),
    ("async-nats", &["cqar-events"]),
    ("redis", &["cqar-cache"]),
    ("tonic", &["cqar-proto", "cqar-api", "cqar"]),
];

/// What the domain knows nothing of.
const FOREIGN_TO_DOMAIN: [&str; 5] = ["tokio", "tonic", "sqlx", "redis", "wasmtime"];

/// They test and measure all the others.
const UNBOUND: [&str; 2] = ["cqar-tests", "cqar-bench"];

/// The direct, normal dependencies of each crate of the workspace.
fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(metadata.status.success(), "{}", String::from_utf8_lossy(&metadata.stderr));
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let name = |of: &Value| of["name"].as_str().unwrap().to_owned();
    let normal = |package: &Value| {
        let all = package["dependencies"].as_array().unwrap().iter();
        // Of all kinds, normal dependencies alone are named by none.
        all.filter(|dependency| dependency["kind"].is_null()).map(name).collect()
    };
    metadata["packages"].as_array().unwrap().iter().map(|package| (name(package), normal(package))).collect()
}

#[test]
fn every_crate_of_the_workspace_has_its_place() {
    let known: BTreeSet<&str> = LAYERS.iter().map(|(name, _)| *name).chain(UNBOUND).collect();
    let dependencies = dependencies();
    let found: BTreeSet<&str> = dependencies.keys().map(String::as_str).collect();
    assert_eq!(found, known);
}

#[test]
fn dependencies_point_one_way() {
    let dependencies = dependencies();
    for (name, allowed) in LAYERS {
        for dependency in dependencies[name].iter().filter(|dependency| dependency.starts_with("cqar")) {
            assert!(allowed.contains(&dependency.as_str()), "{name} may not name {dependency}");
        }
    }
}

#[test]
fn each_library_is_named_by_its_owner_alone() {
    for (name, dependencies) in dependencies().iter().filter(|(name, _)| !UNBOUND.contains(&name.as_str())) {
        for dependency in dependencies {
            let owners = OWNERS.iter().find(|(library, _)| dependency.starts_with(library));
            assert!(
                owners.is_none_or(|(_, owners)| owners.contains(&name.as_str())),
                "{name} may not name {dependency}"
            );
        }
    }
}

#[test]
fn the_domain_knows_of_no_runtime_wire_or_database() {
    for dependency in &dependencies()["cqar-domain"] {
        assert!(
            !FOREIGN_TO_DOMAIN.iter().any(|it| dependency.starts_with(it)),
            "cqar-domain may not name {dependency}"
        );
    }
}
