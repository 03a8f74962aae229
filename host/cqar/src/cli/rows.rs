//! What any command may show as rows of a table.

use cqar_proto::v1::{Entity, Finding, finding::Severity};

use super::output::{self, short};

/// Headers of entities of any type.
pub const ENTITY: [&str; 4] = ["TYPE", "ID", "NAME", "REVISION"];
/// Headers of findings.
pub const FINDING: [&str; 5] = ["SEVERITY", "PLUGIN", "CODE", "FIELD", "MESSAGE"];

/// A row of [`ENTITY`].
pub fn entity(entity: &Entity) -> [String; 4] {
    match &entity.entity {
        None => [String::new(), String::new(), String::new(), "0".to_owned()],
        Some(it) => {
            [it.entity_type().to_string(), it.id().to_owned(), it.label().to_owned(), it.revision().to_string()]
        }
    }
}

/// A row of [`FINDING`].
pub fn finding(finding: Finding) -> [String; 5] {
    let severity =
        short(Severity::try_from(finding.severity).map_or("", |severity| severity.as_str_name()), "SEVERITY_");
    [severity, finding.plugin, finding.code, finding.path, finding.message]
}

/// Says on the standard error what validators warned of, with each field as it is called there.
pub fn warn(warnings: &[Finding], field: impl Fn(&str) -> String) {
    for Finding { path, message, code, .. } in warnings {
        eprintln!("{} {}: {message} [{code}]", output::yellow_on_stderr("warning:"), field(path));
    }
}
