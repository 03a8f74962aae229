//! Starts that are refused: the process ends by itself, and says what is wrong and what to do.

use std::{net::TcpListener, process::Output};

use cqar_tests::{collect::DEADLINE, postgres::Postgres, server::Options};
use tokio::process::Command;

/// Runs a server that is to refuse to start, and returns what it said.
async fn refused(options: &Options) -> String {
    let mut command = Command::from(options.command());
    command.arg("serve").kill_on_drop(true);
    let Ok(output) = tokio::time::timeout(DEADLINE, command.output()).await else { panic!("it goes on") };
    let Output { status, stderr, .. } = output.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    println!("{status}: {said}");
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {said}");
    said
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
}

#[tokio::test]
async fn a_port_in_use_is_named_with_its_setting() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for variable in ["SERVER_GRPC_PORT", "SERVER_HTTP_PORT", "METRICS_PORT"] {
        let options = Options::new().with(variable, &port);
        let said = refused(&options).await;
        assert_says(&said, &[&format!("cannot listen on 127.0.0.1:{port}"), variable]);
        assert!(!options.folder().join("cqar.db").exists(), "nothing else was touched");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_left_as_it_is() {
    let options = Options::new();
    let file = options.folder().join("cqar.db");
    let text = "this is a diary, not a database\n".repeat(1000);
    std::fs::write(&file, &text).unwrap();
    assert_says(&refused(&options).await, &["cqar.db", "not an SQLite database", "move it away"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let options = Options::new();
    let file = options.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let below = file.join("below").display().to_string();
    let database = options.clone().with("DATABASE_URL", format!("sqlite://{below}/cqar.db"));
    assert_says(&refused(&database).await, &["cannot create the folder", &below, "DATABASE_URL"]);
    let data_dir = options.clone().with("PLUGINS_DATA_DIR", &below);
    assert_says(&refused(&data_dir).await, &["plugins.data_dir", &below]);
    let dir = options.with("PLUGINS_DIR", &below);
    assert_says(&refused(&dir).await, &["plugins.dir", &below]);
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_refused_and_one_that_is_behind_says_what_to_run() {
    let options = Options::new();
    assert!(options.start().await.terminate().await.success());
    let insert = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); \
                  c.execute(\"INSERT INTO schema_migrations VALUES (9999, '9999_future', 0)\"); c.commit()";
    let mut python = std::process::Command::new("python3");
    python.args(["-c", insert]).arg(options.folder().join("cqar.db"));
    assert!(python.status().unwrap().success());
    assert_says(&refused(&options).await, &["9999", "9999_future", "newer `cqar`"]);

    let postgres = Postgres::start();
    let behind = Options::new().with("DATABASE_URL", postgres.url()).with("SERVER_START_TIMEOUT", "1s");
    assert_says(&refused(&behind).await, &["cqar migrate up"]);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_named_without_its_password() {
    let options = Options::new()
        .with("DATABASE_URL", "postgres://cqar:hunter2@127.0.0.1:1/cqar?sslmode=disable")
        .with("SERVER_START_TIMEOUT", "1s");
    let said = refused(&options).await;
    assert_says(&said, &["127.0.0.1:1", "waited 1 s (server.start_timeout)"]);
    assert!(!said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn production_needs_keys_and_so_does_every_address_but_this_machine() {
    let said = refused(&Options::new().with("SERVICE_ENV", "production")).await;
    assert_says(&said, &["auth.api_keys", "AUTH_API_KEYS"]);
    let said = refused(&Options::new().with("SERVER_HOST", "0.0.0.0")).await;
    assert_says(&said, &["AUTH_API_KEYS"]);
    assert_says(&refused(&Options::new().with("SERVICE_ENV", "prodution")).await, &["SERVICE_ENV", "prodution"]);
}

#[tokio::test]
async fn a_setting_that_is_wrong_is_named_with_its_source_and_what_is_allowed() {
    for (variable, value, allowed) in [
        ("SERVER_GRPC_PORT", "99999", "a port, 0 to 65535"),
        ("SERVER_SHUTDOWN_TIMEOUT", "soon", "a duration such as 50ms"),
        ("DATABASE_MAX_CONNS", "0", "a whole number, 1 or more"),
        ("CACHE_ENABLED", "perhaps", "true or false"),
        ("TRACING_SAMPLE_RATE", "2", "a number from 0 to 1"),
        ("LOG_FORMAT", "xml", "auto, json or text"),
    ] {
        assert_says(&refused(&Options::new().with(variable, value)).await, &[variable, value, allowed]);
    }
    let options = Options::new();
    let config = options.folder().join("config");
    std::fs::create_dir(&config).unwrap();
    std::fs::write(config.join("config.yaml"), "server:\n  grpcport: 9090\ncahce: {}\n").unwrap();
    assert_says(&refused(&options).await, &["server.grpcport", "config.yaml", "server.grpc_port", "cahce"]);
}

#[tokio::test]
async fn a_plugin_directory_without_plugins_is_no_reason_to_refuse() {
    let options = Options::new().with("PLUGINS_REQUIRED", "");
    std::fs::remove_dir_all(options.plugins()).unwrap();
    std::fs::create_dir(options.plugins()).unwrap();
    assert!(
        options.with("SERVER_GRPCPORT", 1).start().await.log().iter().any(|line| line.contains("SERVER_GRPC_PORT"))
    );
}
