//! What production and staging refuse, and what is unwise there.

use super::{SAFE, loaded, refused};
use crate::config::{LoadOptions, Purpose, load, rules};

/// What is refused beside these variables, in both environments.
fn in_guarded(variables: &[(&str, &str)]) -> String {
    let said = |env| refused(&[], &[&[("SERVICE_ENV", env)], variables].concat());
    let (production, staging) = (said("production"), said("staging"));
    assert_eq!(production.replace("SERVICE_ENV=production", "SERVICE_ENV=staging"), staging);
    production
}

#[test]
fn each_refusal_names_the_line_that_mends_it() {
    let (keys, url) = (SAFE[0], SAFE[1]);
    let refusals = [
        in_guarded(&[url]),
        in_guarded(&[url, ("AUTH_API_KEYS", "too-short:alice,0123456789abcdef0123456789abcdef:bob")]),
        in_guarded(&[keys]),
        in_guarded(&[keys, ("DATABASE_PORT", "5432"), ("DATABASE_PASSWORD", "x")]),
        in_guarded(&[keys, ("DATABASE_HOST", "db"), ("DATABASE_USER", "u"), ("DATABASE_PASSWORD", "${DB_PASSWORD}")]),
        in_guarded(&[url, keys, ("CACHE_PASSWORD", "$(REDIS_PASSWORD)")]),
        in_guarded(&[url, keys, ("EVENTBUS_TOKEN", "${NATS_TOKEN}")]),
        in_guarded(&[keys, ("DATABASE_URL", "postgres://u:${PASSWORD}@h/d")]),
        in_guarded(&[url, ("AUTH_API_KEYS", "${THE_API_KEY_THAT_NOBODY_EXPANDED_HERE}:alice")]),
    ];
    insta::assert_snapshot!(refusals.join("\n\n"));
}

#[test]
fn what_is_named_is_served_from() {
    for named in [
        &[SAFE[1]][..],
        &[("DATABASE_URL", "postgres://u:p@h/d")],
        &[("DATABASE_HOST", "db"), ("DATABASE_USER", "u"), ("DATABASE_PASSWORD", "p")],
    ] {
        loaded(&[], &[&[("SERVICE_ENV", "production"), SAFE[0]], named].concat());
    }
    // A password may look like a part of a template.
    let odd = [("DATABASE_HOST", "db"), ("DATABASE_USER", "u"), ("DATABASE_PASSWORD", "x${hidden}y")];
    loaded(&[], &[&[("SERVICE_ENV", "production"), SAFE[0]], &odd[..]].concat());
    // Elsewhere all of it is allowed.
    loaded(&[], &[("AUTH_API_KEYS", "short:alice"), ("CACHE_PASSWORD", "${NAME}")]);
}

#[test]
fn to_migrate_no_key_is_needed_and_a_database_is() {
    let load_for = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into())).collect();
        load(&LoadOptions { dir: None, variables, purpose: Purpose::Migrate })
    };
    load_for(&[("SERVICE_ENV", "production"), SAFE[1], ("SERVER_HOST", "0.0.0.0")]).unwrap();
    let said = load_for(&[("SERVICE_ENV", "production")]).unwrap_err().to_string();
    assert!(said.contains("database.url") && !said.contains("auth."), "{said}");
}

#[test]
fn what_is_unwise_in_production_is_found_and_a_mesh_answers_for_plaintext() {
    let plain = [
        ("SERVICE_ENV", "production"),
        SAFE[0],
        ("DATABASE_URL", "postgres://u:p@h/d?sslmode=prefer"),
        ("DATABASE_MAX_CONNS", "25"),
        ("CACHE_HOST", "redis"),
        ("EVENTBUS_SERVERS", "nats:4222"),
        ("TRACING_ENABLED", "true"),
        ("PLUGINS_REQUIRED", "absent"),
        ("LOG_LEVEL", "info,cqar_store=debug"),
        ("CACHE_PASSWORD", "x${hidden}y"),
    ];
    let findings = |variables: &[(&str, &str)]| {
        let found = rules::findings(&loaded(&[], variables).config);
        found.into_iter().map(|(key, message)| format!("{key} {message}")).collect::<Vec<_>>()
    };
    insta::assert_snapshot!(findings(&plain).join("\n"));
    let meshed = findings(&[&plain[..], &[("SERVICE_MESH", "true")]].concat());
    assert_eq!(meshed.len(), 4, "{meshed:?}");
    assert!(findings(&[("LOG_LEVEL", "debug")]).is_empty());
}
