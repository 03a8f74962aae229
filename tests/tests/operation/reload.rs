//! A configuration that changes while the server runs.

use std::{fs, path::PathBuf};

use cqar_proto::v1::{GetPluginRequest, GetStatusRequest, registry_service_client::RegistryServiceClient};
use cqar_tests::{
    collect::until,
    server::{Options, Server},
};
use serde_json::Value;
use tonic::{Code, Request};

struct Fixture {
    config: PathBuf,
    server: Server,
}

impl Fixture {
    async fn start(options: Options, text: &str) -> Self {
        let dir = options.folder().join("config");
        fs::create_dir(&dir).unwrap();
        let config = dir.join("config.yaml");
        fs::write(&config, text).unwrap();
        let server = options.start().await;
        Self { config, server }
    }

    /// Writes the file and waits for what comes of it: without a signal the server finds out by itself.
    async fn reload(&self, text: &str, by_signal: bool, event: &str) -> Value {
        let before = self.events(event).len();
        fs::write(&self.config, text).unwrap();
        if by_signal {
            self.server.signal("HUP");
        }
        until(event, async || self.events(event).into_iter().nth(before)).await
    }

    fn events(&self, event: &str) -> Vec<Value> {
        let lines = self.server.log();
        let lines = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"].as_str().is_some_and(|message| message.starts_with(event))).collect()
    }

    async fn call(&self, key: &str) -> Code {
        let mut registry = RegistryServiceClient::new(self.server.channel().await);
        let mut request = Request::new(GetStatusRequest {});
        request.metadata_mut().insert("x-api-key", key.parse().unwrap());
        registry.get_status(request).await.map_or_else(|status| status.code(), |_| Code::Ok)
    }

    async fn reloads(&self, outcome: &str) -> u64 {
        let (_, metrics) = self.server.http_get(self.server.metrics(), "/metrics").await;
        let counter = format!("cqar_config_reloads_total{{outcome=\"{outcome}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&counter)).unwrap().parse().unwrap()
    }
}

fn options() -> Options {
    Options::new().with("SERVER_HOST", "127.0.0.1")
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_the_log_level_change_and_what_needs_a_restart_is_named() {
    let f = Fixture::start(options(), "auth: {api_keys: \"old:desk-1\"}\nlog: {level: info}\n").await;
    assert_eq!((f.call("old").await, f.call("new").await), (Code::Ok, Code::Unauthenticated));
    let text = "auth: {api_keys: \"new:desk-2\"}\nlog: {level: debug}\ncache: {max_bytes: 1MiB}\n";
    let reloaded = f.reload(text, false, "configuration_reloaded").await;
    assert_eq!(reloaded["applied"], "auth.api_keys, log.level");
    assert_eq!(reloaded["needs_restart"], "cache.max_bytes");
    assert_eq!((f.call("old").await, f.call("new").await), (Code::Unauthenticated, Code::Ok));
    until("debug lines are logged", async || {
        f.call("new").await;
        f.server.log().iter().any(|line| line.contains("\"level\":\"DEBUG\"")).then_some(())
    })
    .await;
    f.server.signal("HUP");
    f.server.until_logged("configuration_unchanged").await;
    assert_eq!((f.reloads("applied").await, f.reloads("refused").await), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_wrong_is_refused_whole_and_what_served_before_goes_on() {
    let good = "auth: {api_keys: \"old:desk-1\"}\n";
    let f = Fixture::start(options(), good).await;
    let refusals = [
        ("auth: {api_keys: \"new:desk-2\"}\nlog: {level: verbos}\n", "log.level"),
        ("auth: {api_keys: \"new:desk-2\"}\nserver: [\n", "is not YAML"),
        ("auth: {api_keys: \"new:desk-2\"}\nsever: {}\n", "did you mean server"),
        ("log: {level: debug}\n", "auth.api_keys: somebody must have a key"),
    ];
    for (n, (text, says)) in (1..).zip(refusals) {
        let refused = f.reload(text, true, "configuration_refused").await;
        assert!(refused["reason"].as_str().unwrap().contains(says), "{refused}");
        assert_eq!((f.call("old").await, f.call("new").await), (Code::Ok, Code::Unauthenticated), "{text}");
        assert_eq!(f.reloads("refused").await, n);
    }
    // Asked again, it says again that it is wrong.
    f.server.signal("HUP");
    until("it is refused again", async || (f.events("configuration_refused").len() > refusals.len()).then_some(()))
        .await;
    // A volume that is not mounted takes nothing back.
    fs::remove_file(&f.config).unwrap();
    f.server.signal("HUP");
    until("its absence is refused", async || {
        let refused = f.events("configuration_refused");
        refused.iter().any(|line| line["reason"].as_str().unwrap().ends_with("was there, and is gone")).then_some(())
    })
    .await;
    assert_eq!((f.call("old").await, f.call("new").await), (Code::Ok, Code::Unauthenticated));
    // What is right again is as it was.
    let reloaded = f.reload(good, true, "configuration_reloaded").await;
    assert_eq!(reloaded["applied"], "");
}

/// What is right only together with what needs a restart is not right yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_applied_is_judged_with_what_is_in_force() {
    let key = "0123456789abcdef0123456789abcdef";
    let options = options().with("DATABASE_URL", "sqlite://cqar.db");
    let production = format!("service: {{env: staging}}\nauth: {{api_keys: \"{key}:desk-1\"}}\n");
    let f = Fixture::start(options, &production).await;
    let weaker = "service: {env: development}\nauth: {api_keys: \"short:desk-1\"}\n";
    let refused = f.reload(weaker, true, "configuration_refused").await;
    assert!(refused["reason"].as_str().unwrap().contains("at least 32 characters"), "{refused}");
    let budget = format!("{production}plugins: {{memory_budget: 8GiB, memory: 4GiB}}\n");
    let refused = f.reload(&budget, true, "configuration_refused").await;
    assert!(refused["reason"].as_str().unwrap().contains("plugins.memory_budget"), "{refused}");
    assert_eq!((f.call(key).await, f.call("short").await), (Code::Ok, Code::Unauthenticated));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_environment_goes_before_the_file_and_never_changes_but_the_file_of_a_secret_does() {
    let keys = tempfile::NamedTempFile::new().unwrap();
    fs::write(&keys, "old:desk-1\n").unwrap();
    let options = options().with("AUTH_API_KEYS_FILE", keys.path().display()).with("LOG_LEVEL", "info");
    let f = Fixture::start(options, "log: {level: warn}\n").await;
    fs::write(&keys, "new:desk-2\n").unwrap();
    let reloaded = f.reload("log: {level: debug}\n", false, "configuration_reloaded").await;
    assert_eq!(reloaded["applied"], "auth.api_keys");
    assert_eq!((f.call("old").await, f.call("new").await), (Code::Unauthenticated, Code::Ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_of_plugins_pass_the_gate_or_change_nothing() {
    let settings = |fee: &str| format!("plugins: {{settings: {{market-sanity: {{max_fee: {fee}}}}}}}\n");
    let f = Fixture::start(options(), &settings("\"0.1\"")).await;
    let plugin = async || {
        let request = GetPluginRequest { name: "market-sanity".into() };
        f.server.plugins().await.get_plugin(request).await.unwrap().into_inner()
    };
    let before = plugin().await;
    f.reload(&settings("\"0.2\""), true, "configuration_reloaded").await;
    until("the new settings serve", async || (plugin().await.generation == before.generation + 1).then_some(())).await;
    let misspelt = settings("\"0.2\"").replace("settings: {", "settings: {market-sanitty: {max_fee: \"0.1\"}, ");
    f.reload(&misspelt, true, "configuration_reloaded").await;
    let absent = f.events("plugin_configured_and_absent");
    assert!(absent.iter().any(|line| line["plugin"] == "market-sanitty"), "{absent:?}");
    f.reload(&settings("a lot"), true, "configuration_reloaded").await;
    let refused =
        until("the bad ones are refused", async || Some(plugin().await).filter(|it| !it.reason.is_empty())).await;
    assert_eq!(refused.generation, before.generation + 1);
    assert!(refused.reason.contains("max_fee"), "{}", refused.reason);
    // The last good ones serve, also after a restart.
    let options = f.server.kill();
    let server = options.start().await;
    let request = GetPluginRequest { name: "market-sanity".into() };
    let restarted = server.plugins().await.get_plugin(request).await.unwrap().into_inner();
    assert_eq!(restarted.state(), cqar_proto::v1::plugin::State::ServingLastGood, "{}", restarted.reason);
}
