//! `<name>.toml`, the file beside `<name>.wasm`: what its operator says of one plugin. Both are taken together, in one step.

use std::{fmt, num::NonZeroUsize, time::Duration};

use cqar_domain::{
    id::EntityType,
    quantity::{parse_byte_size, parse_duration},
};
use serde::{Deserialize, Deserializer, de};
use serde_json::{Map, Value};

use crate::{config::Limits, directory::scan::Beside, gate::manifest::REGISTRY_GRANT, hash::Hash};

/// What the file says. Without one, all is as the server's configuration has it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct PluginConfig {
    /// Whether it serves at all. `false` takes it out of service at once, and for good.
    pub(crate) enabled: bool,
    /// Its settings, in place of those of the server's configuration.
    pub(crate) settings: Option<Map<String, Value>>,
    /// Which of the manifest's subscriptions count.
    #[serde(deserialize_with = "subscriptions")]
    pub(crate) subscriptions: Option<Vec<EntityType>>,
    /// What it is granted, in place of what the server's configuration grants it.
    #[serde(deserialize_with = "grants")]
    pub(crate) grants: Option<Vec<String>>,
    /// The hash, or its first digits, of a component that may become another kind or drop a subscription.
    #[serde(deserialize_with = "force")]
    pub(crate) force: Option<String>,
    /// What a replay decides.
    pub(crate) replay: ReplayPolicy,
    /// Validators judge in this order, and those of one number in the order of their names.
    pub(crate) order: i32,
    /// What comes of a validator's findings.
    pub(crate) mode: Mode,
    /// What comes of a write whose validator fails.
    pub(crate) failure: FailurePolicy,
    /// Whether instances are used again.
    pub(crate) isolation: Isolation,
    /// Limits that are tighter than the server's.
    limits: TighterLimits,
}

/// What comes of a validator's findings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Mode {
    /// They count.
    #[default]
    Enforce,
    /// They are logged and counted, and refuse nothing.
    Monitor,
    /// It is not asked.
    Off,
}

/// What comes of a write whose validator fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FailurePolicy {
    /// It is refused.
    #[default]
    Closed,
    /// It passes, with a warning.
    Open,
    /// The generation before judges it; where that fails too, it is refused.
    LastGood,
}

/// Whether instances are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Isolation {
    /// After a call that ended well.
    #[default]
    Reuse,
    /// Each call has an instance of its own.
    Fresh,
}

/// Limits that are tighter than the server's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct TighterLimits {
    #[serde(deserialize_with = "duration")]
    deadline: Option<Duration>,
    #[serde(deserialize_with = "duration")]
    call_timeout: Option<Duration>,
    #[serde(deserialize_with = "byte_size")]
    memory: Option<usize>,
    #[serde(deserialize_with = "byte_size")]
    reuse_memory: Option<usize>,
    #[serde(deserialize_with = "byte_size")]
    output: Option<usize>,
    concurrency: Option<NonZeroUsize>,
    lookup_keys: Option<usize>,
}

/// What comes of a component that answers recorded calls otherwise than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ReplayPolicy {
    /// It is said.
    #[default]
    Report,
    /// It is refused, and so is one that could not be compared.
    RefuseChanges,
}

impl Default for PluginConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            settings: None,
            subscriptions: None,
            grants: None,
            force: None,
            replay: ReplayPolicy::default(),
            order: 0,
            mode: Mode::default(),
            failure: FailurePolicy::default(),
            isolation: Isolation::default(),
            limits: TighterLimits::default(),
        }
    }
}

/// Fewer could name another file by chance.
const MIN_FORCE_DIGITS: usize = 12;

impl PluginConfig {
    /// Reads the file; the error says in which line what is wrong.
    pub(crate) fn read(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string().trim().to_owned())
    }

    /// Reads the file beside a component; where there is none, all is as the server's configuration has it.
    pub(crate) fn beside(beside: &Beside<String>) -> Result<Self, String> {
        beside.config.as_deref().map_or_else(|| Ok(Self::default()), Self::read)
    }

    /// The limits of the plugin: the server's, or tighter ones. The error names one that is not.
    pub(crate) fn limits(&self, server: &Limits) -> Result<Limits, String> {
        let mut limits = server.clone();
        let given = &self.limits;
        tighten("deadline", given.deadline, &mut limits.call.guest)?;
        tighten("call_timeout", given.call_timeout, &mut limits.call.total)?;
        tighten("memory", given.memory, &mut limits.memory_bytes)?;
        tighten("reuse_memory", given.reuse_memory, &mut limits.reuse_bytes)?;
        tighten("output", given.output, &mut limits.output_bytes)?;
        tighten("concurrency", given.concurrency.map(NonZeroUsize::get), &mut limits.concurrency)?;
        tighten("lookup_keys", given.lookup_keys, &mut limits.lookup_keys)?;
        if limits.call.guest.is_zero() || limits.call.total < limits.call.guest {
            return Err("limits: deadline must be above 0, and call_timeout at least the deadline".to_owned());
        }
        if self.isolation == Isolation::Fresh {
            limits.reuse_bytes = 0;
        }
        Ok(limits)
    }

    /// Whether this component may do what a swap may not.
    pub(crate) fn forces(&self, hash: &Hash) -> bool {
        self.force.as_ref().is_some_and(|force| hash.to_string().starts_with(force))
    }
}

fn tighten<T: PartialOrd + fmt::Debug>(name: &str, given: Option<T>, limit: &mut T) -> Result<(), String> {
    match given {
        Some(given) if given > *limit => {
            Err(format!("limits.{name}: {given:?} is more than the server's own limit {limit:?}, and may only be less"))
        }
        Some(given) => {
            *limit = given;
            Ok(())
        }
        None => Ok(()),
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    parse_duration(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

fn byte_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    parse_byte_size(&String::deserialize(deserializer)?).map(Some).map_err(de::Error::custom)
}

fn subscriptions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<EntityType>>, D::Error> {
    let names = Vec::<String>::deserialize(deserializer)?;
    let read = |name: &String| {
        EntityType::from_name(name).ok_or_else(|| de::Error::custom(format!("there is no entity type {name:?}")))
    };
    names.iter().map(read).collect::<Result<_, _>>().map(Some)
}

fn grants<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    let grants = Vec::<String>::deserialize(deserializer)?;
    match grants.iter().find(|grant| *grant != REGISTRY_GRANT) {
        Some(unknown) => Err(de::Error::custom(format!("there is no grant {unknown:?}, only {REGISTRY_GRANT:?}"))),
        None => Ok(Some(grants)),
    }
}

fn force<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let digits = String::deserialize(deserializer)?;
    if (MIN_FORCE_DIGITS..=64).contains(&digits.len()) && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    {
        return Ok(Some(digits));
    }
    Err(de::Error::custom(format!("must be the hash of the component, or its first {MIN_FORCE_DIGITS} or more digits")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_misspelt_is_refused_with_its_line() {
        let text = "enabled = true\nsetings = { max_fee = \"0.1\" }\n";
        let error = PluginConfig::read(text).unwrap_err();
        assert!(error.contains("line 2") && error.contains("setings"), "{error}");
        for (text, says) in [
            ("subscriptions = [\"token\"]", "no entity type"),
            ("grants = [\"files\"]", "no grant"),
            ("force = \"true\"", "must be the hash"),
            ("force = true", "string"),
        ] {
            let error = PluginConfig::read(text).unwrap_err();
            assert!(error.contains("line 1") && error.contains(says), "{error}");
        }
    }

    #[test]
    fn limits_only_become_tighter() {
        let server = Limits::default();
        let limits = |text: &str| PluginConfig::read(text).unwrap().limits(&server);
        assert!(limits("[limits]\ndeadline = \"0s\"").is_err());
        assert!(limits("[limits]\ncall_timeout = \"1ms\"").is_err());
        let tighter = limits("[limits]\nmemory = \"1MiB\"\ndeadline = \"5ms\"\nconcurrency = 1").unwrap();
        assert_eq!((tighter.memory_bytes, tighter.call.guest.as_millis(), tighter.concurrency), (1 << 20, 5, 1));
        assert_eq!(tighter.output_bytes, server.output_bytes);
        let refused = limits("[limits]\nmemory = \"1GiB\"").unwrap_err();
        assert!(refused.contains("limits.memory: 1073741824 is more than"), "{refused}");
        assert_eq!(limits("isolation = \"fresh\"").unwrap().reuse_bytes, 0);
        assert!(PluginConfig::read("[limits]\nmemory = 5").is_err() && PluginConfig::read("mode = \"on\"").is_err());
    }

    #[test]
    fn an_empty_file_changes_nothing_and_a_force_holds_for_one_component() {
        let config = PluginConfig::read("").unwrap();
        assert!(config.enabled && config.settings.is_none() && config.grants.is_none());
        let (hash, other) = (Hash::of(b"a"), Hash::of(b"b"));
        let config = PluginConfig::read(&format!("force = \"{:.16}\"", hash.to_string())).unwrap();
        assert!(config.forces(&hash) && !config.forces(&other));
    }
}
