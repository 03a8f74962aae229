//! Variables of the environment that set nothing, and probably were meant to.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt,
};

use super::keys::{self, Effect, SECTIONS};

/// What is probably a mistake, and stops nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Warning {
    /// A variable that looks like one of the table's.
    Unknown {
        /// The variable.
        variable: String,
        /// The one that it was probably meant to be.
        nearest: Option<String>,
    },
    /// Variables that Kubernetes sets in each pod for each Service whose name begins as one of our sections is called.
    Kubernetes {
        /// Their names.
        variables: Vec<String>,
    },
    /// A variable that is accepted, and has no effect.
    NoEffect {
        /// The variable.
        variable: String,
        /// Why.
        why: &'static str,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { variable, nearest } => {
                write!(f, "the environment variable {variable} sets nothing")?;
                nearest.as_ref().map_or(Ok(()), |nearest| write!(f, "; did you mean {nearest}?"))
            }
            Self::Kubernetes { variables } => write!(
                f,
                "Kubernetes set {} for a Service: they set nothing here; set `enableServiceLinks: false` in the pod's spec",
                variables.join(", ")
            ),
            Self::NoEffect { variable, why } => {
                write!(f, "the environment variable {variable} is accepted without effect: {why}")
            }
        }
    }
}

/// What is wrong with the environment beside the values of the table's variables.
pub fn warnings(variables: &[(OsString, OsString)]) -> Vec<Warning> {
    let mut found = Vec::new();
    let (mut injected, known) = (Vec::new(), known());
    let given: BTreeMap<&str, &OsString> =
        variables.iter().filter_map(|(name, value)| Some((name.to_str()?, value))).collect();
    for (variable, value) in given {
        if known.contains(variable) {
            continue;
        }
        let is_link = value.to_str().is_some_and(is_service_link);
        if has_prefix(variable) && (is_link || is_of_kubernetes(variable)) {
            injected.push(variable.to_owned());
            continue;
        }
        let nearest = near_miss(variable, &known);
        if nearest.is_some() || has_prefix(variable) {
            found.push(Warning::Unknown { variable: variable.to_owned(), nearest });
        }
    }
    if !injected.is_empty() {
        found.push(Warning::Kubernetes { variables: injected });
    }
    for key in keys::all() {
        let set = key.variable().filter(|name| variables.iter().any(|(variable, _)| variable == name.as_str()));
        if let (Some(variable), Effect::Ignored(why)) = (set, key.effect) {
            found.push(Warning::NoEffect { variable, why });
        }
    }
    found
}

/// Whether Kubernetes sets such a value for a Service: `CACHE_PORT=tcp://10.0.0.1:6379`.
pub fn is_service_link(value: &str) -> bool {
    ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme))
}

fn known() -> BTreeSet<String> {
    keys::all().flat_map(|key| [key.variable(), key.file_variable()]).flatten().collect()
}

/// Whether it begins as the variables of a section do.
fn has_prefix(variable: &str) -> bool {
    let section = variable.split_once('_').map_or("", |(section, _)| section);
    SECTIONS.iter().any(|it| it.name.to_ascii_uppercase() == section)
}

/// `CACHE_SERVICE_HOST`, `CACHE_SERVICE_PORT`, `CACHE_SERVICE_PORT_REDIS`, `CACHE_PORT_6379_TCP`, `CACHE_PORT_6379_TCP_ADDR`.
fn is_of_kubernetes(variable: &str) -> bool {
    let is_port = |rest: &str| {
        let mut parts = rest.split('_');
        parts.next().is_some_and(|port| port.parse::<u16>().is_ok())
            && parts.next().is_some_and(|protocol| ["TCP", "UDP", "SCTP"].contains(&protocol))
    };
    variable.ends_with("_SERVICE_HOST")
        || variable.ends_with("_SERVICE_PORT")
        || variable.contains("_SERVICE_PORT_")
        || variable.split_once("_PORT_").is_some_and(|(_, rest)| is_port(rest))
}

/// The variable of the table that this one was probably meant to be: what it is called now, one of the same section with a similar
/// name, or one that is two strokes away.
fn near_miss(variable: &str, known: &BTreeSet<String>) -> Option<String> {
    const SIMILAR: f64 = 0.85;
    const STROKES: usize = 2;
    let upper = variable.to_ascii_uppercase();
    let renamed = upper.split_once('_').map(|(section, name)| format!("{section}.{name}").to_ascii_lowercase());
    if let Some(now) = renamed.and_then(|path| keys::renamed(&path)) {
        return keys::holding(now).and_then(keys::Key::variable);
    }
    let likeness = |known: &str| {
        let same_section = match (upper.split_once('_'), known.split_once('_')) {
            (Some((section, name)), Some((known_section, known_name))) if section == known_section => {
                strsim::jaro_winkler(name, known_name)
            }
            _ => 0.0,
        };
        let close = strsim::damerau_levenshtein(&upper, known) <= STROKES;
        if close { 1.0 } else { same_section }
    };
    known
        .iter()
        .map(|known| (likeness(known), known))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .filter(|(likeness, _)| *likeness >= SIMILAR)
        .map(|(_, known)| known.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(names: &[(&str, &str)]) -> Vec<String> {
        let variables: Vec<(OsString, OsString)> =
            names.iter().map(|(name, value)| (name.into(), value.into())).collect();
        warnings(&variables).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_variable_that_nearly_matches_is_found_and_a_foreign_one_is_not() {
        for (variable, meant) in [
            ("SERVER_GRPCPORT", "SERVER_GRPC_PORT"),
            ("DATABASE_MAX_CONNECTIONS", "DATABASE_MAX_CONNS"),
            ("AUTH_API_KEY", "AUTH_API_KEYS"),
            ("SERVR_HOST", "SERVER_HOST"),
            ("database_url", "DATABASE_URL"),
            ("SERVER_METRICS_PORT", "METRICS_PORT"),
            ("EVENTBUS_STREAM", "EVENTBUS_STREAM_NAME"),
        ] {
            let expected = format!("the environment variable {variable} sets nothing; did you mean {meant}?");
            assert_eq!(said(&[(variable, "1")]), [expected]);
        }
        for foreign in
            ["DATABASE_URL", "PATH", "HOME", "CARGO_HOME", "SERVICE_ENV", "CACHE_PASSWORD_FILE", "CQAR_SERVER"]
        {
            assert!(said(&[(foreign, "1")]).is_empty(), "{foreign}");
        }
    }

    #[test]
    fn a_variable_with_a_prefix_of_ours_that_acts_on_nothing_is_named() {
        assert_eq!(said(&[("PLUGINS_SETTINGS", "{}")]), ["the environment variable PLUGINS_SETTINGS sets nothing"]);
        let said = said(&[("CACHE_POOL_SIZE", "10")]);
        assert!(
            said[0].starts_with("the environment variable CACHE_POOL_SIZE is accepted without effect: all"),
            "{said:?}"
        );
    }

    #[test]
    fn what_kubernetes_sets_for_services_is_named_as_such() {
        let injected = [
            ("CACHE_SERVICE_HOST", "10.0.0.1"),
            ("CACHE_SERVICE_PORT", "6379"),
            ("CACHE_SERVICE_PORT_REDIS", "6379"),
            ("CACHE_PORT_6379_TCP", "tcp://10.0.0.1:6379"),
            ("CACHE_PORT_6379_TCP_ADDR", "10.0.0.1"),
            ("SERVER_PORT", "tcp://10.0.0.2:80"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
        ];
        let said = said(&injected);
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("Kubernetes set CACHE_PORT_6379_TCP, CACHE_PORT_6379_TCP_ADDR,"), "{said:?}");
        assert!(said[0].ends_with("set `enableServiceLinks: false` in the pod's spec"), "{said:?}");
    }
}
