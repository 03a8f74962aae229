//! The keys: every setting, its environment variable, what is allowed, and when it acts.

mod table;

pub use table::SECTIONS;

/// A section of the files.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name.
    pub name: &'static str,
    /// What it is about.
    pub doc: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// A setting.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.name`.
    pub path: &'static str,
    /// The default, as YAML.
    pub default: &'static str,
    /// What is allowed, to follow "must be".
    pub allowed: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// What may be shown.
    pub secrecy: Secrecy,
    /// When it acts.
    pub effect: Effect,
    /// Whether the environment may set it, too.
    pub has_variable: bool,
}

/// What may be shown of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// All of it.
    Open,
    /// Nothing.
    Secret,
    /// All but the credentials in a URL.
    Url,
}

/// When a setting acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// At the start.
    AtStart,
    /// At the start, and again when its file changes.
    Reloads,
    /// Never: it is accepted since deployments set it. Says why.
    Ignored(&'static str),
}

impl Key {
    /// A key that the environment may set, that may be shown, and that acts at the start.
    const fn new(path: &'static str, default: &'static str, allowed: &'static str, doc: &'static str) -> Self {
        Self { path, default, allowed, doc, secrecy: Secrecy::Open, effect: Effect::AtStart, has_variable: true }
    }

    const fn secret(self) -> Self {
        Self { secrecy: Secrecy::Secret, ..self }
    }

    const fn url(self) -> Self {
        Self { secrecy: Secrecy::Url, ..self }
    }

    const fn reloads(self) -> Self {
        Self { effect: Effect::Reloads, ..self }
    }

    const fn ignored(self, why: &'static str) -> Self {
        Self { effect: Effect::Ignored(why), ..self }
    }

    const fn in_files_alone(self) -> Self {
        Self { has_variable: false, ..self }
    }

    /// Its environment variable: the path in capitals, with `_` for `.`.
    pub fn variable(&self) -> Option<String> {
        self.has_variable.then(|| self.path.replace('.', "_").to_ascii_uppercase())
    }

    /// The variable that names a file with its value, where the value is a secret.
    pub fn file_variable(&self) -> Option<String> {
        let is_secret = self.secrecy == Secrecy::Secret || self.path == "database.url";
        self.variable().filter(|_| is_secret).map(|variable| variable + "_FILE")
    }

    /// Its section, and its name within it.
    pub fn parts(&self) -> (&'static str, &'static str) {
        self.path.split_once('.').unwrap_or(("", self.path))
    }
}

/// The free-form part: what is below belongs to the plugins.
pub const PLUGIN_SETTINGS: &str = "plugins.settings";

/// All keys, in the order of the table.
pub fn all() -> impl Iterator<Item = &'static Key> + Clone {
    SECTIONS.iter().flat_map(|section| section.keys)
}

/// The key that is, or that holds, this path.
pub fn holding(path: &str) -> Option<&'static Key> {
    all().find(|key| path == key.path || path.strip_prefix(key.path).is_some_and(|rest| rest.starts_with('.')))
}

/// Whether the path is a known key, or a plugin's setting.
pub fn is_known(path: &str) -> bool {
    holding(path).is_some_and(|key| key.path == path || key.path == PLUGIN_SETTINGS)
}

/// The keys of a section, without its name; none if there is no such section.
pub fn in_section(section: &str) -> Vec<&'static str> {
    SECTIONS.iter().filter(|it| it.name == section).flat_map(|it| it.keys).map(|key| key.parts().1).collect()
}

/// Keys that had another name in version 0.1.
const RENAMED: [(&str, &str); 3] = [
    ("database.acquire_timeout", "database.connect_timeout"),
    ("eventbus.stream", "eventbus.stream_name"),
    ("server.metrics_port", "metrics.port"),
];

/// What a key that had another name is called now.
pub fn renamed(path: &str) -> Option<&'static str> {
    RENAMED.iter().find(|(before, _)| *before == path).map(|(_, now)| *now)
}

/// The known key that is meant by this path: what it is called now, or one that is spelled most like it, of its section where
/// there is that.
pub fn nearest(path: &str) -> &'static str {
    if let Some(now) = renamed(path) {
        return now;
    }
    let section = path.split_once('.').map_or("", |(section, _)| section);
    let likeness = |key: &&Key| {
        let of_section = if key.parts().0 == section { 1.0 } else { 0.0 };
        of_section + strsim::jaro_winkler(path, key.path)
    };
    let nearest = all().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    nearest.map_or(PLUGIN_SETTINGS, |key| key.path)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_stands_once_in_its_own_section_and_says_what_it_is_for() {
        let mut seen = BTreeSet::new();
        for section in SECTIONS {
            for key in section.keys {
                assert_eq!(key.parts().0, section.name, "{}", key.path);
                assert!(seen.insert(key.path), "{} stands twice", key.path);
                assert!(key.doc.ends_with('.') && !key.allowed.ends_with('.'), "{}", key.path);
            }
        }
    }

    #[test]
    fn variables_are_keys_in_capitals() {
        let variable = |path| holding(path).unwrap().variable();
        assert_eq!(variable("database.max_conn_idle_time").unwrap(), "DATABASE_MAX_CONN_IDLE_TIME");
        assert_eq!(variable("plugins.settings.x"), None);
        assert_eq!(holding("cache.password").unwrap().file_variable().unwrap(), "CACHE_PASSWORD_FILE");
        assert_eq!(holding("cache.host").unwrap().file_variable(), None);
    }

    #[test]
    fn a_key_that_does_not_exist_is_what_it_was_renamed_to_or_most_like_one_of_its_section() {
        assert_eq!(nearest("server.grpc_prot"), "server.grpc_port");
        assert_eq!(nearest("server.metrics_port"), "metrics.port");
        assert_eq!(nearest("eventbus.stream"), "eventbus.stream_name");
    }
}
