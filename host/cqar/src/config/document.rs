//! What is printed of the table: the defaults as a file to start from, and docs/configuration.md.

use std::fmt::Write as _;

use super::keys::{Effect, Key, SECTIONS};

const HEADER: &str = "\
# The settings of cqar with their defaults. What you write goes into config/config.yaml, or into config.prod.yaml,
# config.staging.yaml or config.dev.yaml beside it (SERVICE_ENV=production, staging, development), each of which needs
# only the keys that it changes; or into the environment: every key but plugins.settings has a variable, the key in
# capitals with `_` for `.` (server.grpc_port: SERVER_GRPC_PORT), and each secret has one more that names a file with its
# value (CACHE_PASSWORD_FILE). The environment wins over the files, and a later file over an earlier one. A key that is
# left empty in a file is not set.
#
# Durations are written 50ms, 30s, 15m or 1h; sizes 512KiB, 64MiB or 1GiB. An unknown key or a bad value stops the
# start. `cqar config show` prints every value and where it comes from; secrets are never shown.
";

/// As wide as the code is.
const LINE_CHARS: usize = 120;

/// The defaults with their explanations, as a file to start from.
pub fn defaults_yaml() -> String {
    let mut yaml = HEADER.to_owned();
    for section in SECTIONS {
        let _ = write!(yaml, "\n# {}\n{}:\n", section.doc, section.name);
        for key in section.keys {
            comment(&mut yaml, &explanation(key));
            let _ = writeln!(yaml, "  {}: {}", key.parts().1, key.default);
        }
    }
    yaml
}

fn explanation(key: &Key) -> String {
    match key.effect {
        Effect::AtStart | Effect::Reloads => key.doc.to_owned(),
        Effect::Ignored(why) => format!("{} Accepted without effect: {why}.", key.doc),
    }
}

fn comment(yaml: &mut String, text: &str) {
    const BEGIN: &str = "  #";
    let mut line = BEGIN.to_owned();
    for word in text.split(' ') {
        if line.len() + 1 + word.len() > LINE_CHARS {
            yaml.push_str(&line);
            yaml.push('\n');
            line.clear();
            line.push_str(BEGIN);
        }
        line.push(' ');
        line.push_str(word);
    }
    yaml.push_str(&line);
    yaml.push('\n');
}

const INTRODUCTION: &str = "\
# Configuration

<!-- Made by `make docs` of the table that the server reads (host/cqar/src/config/keys/table.rs). Change it there. -->

Every setting has a key in the files and a variable in the environment. The layers, each over the one before: the defaults
below; `config.yaml`; `config.prod.yaml`, `config.staging.yaml`, `config.dev.yaml` or `config.NAME.yaml`, chosen by `SERVICE_ENV`
or by `service.env` in `config.yaml`; and the environment. The files are in `config`, or where `--config` or `CQAR_CONFIG_DIR`
says. A key that is left empty in a file is not set; an empty variable is an empty value.

| command | what it does |
|---|---|
| `cqar config defaults` | prints the defaults with their explanations, as a file to start from |
| `cqar config show` | prints every setting with its value and where it comes from; secrets are never shown |
| `cqar config check` | says everything that is wrong; with `--strict` also what is unwise in production |

- **Secrets.** The value of each secret may stand in a file that a variable names: `CACHE_PASSWORD_FILE=/run/secrets/cache`. One
  newline at its end is no part of it. Nothing expands `${NAME}`.
- **The database** is named by `DATABASE_URL`, or by `DATABASE_HOST` and what belongs to it, never by both.
- **In production and staging** the start is refused without an API key, with a key under 32 characters, on a database that nobody
  named, and with a secret that reads `${NAME}`. SQLite must be named by a URL there.
- **Kubernetes** sets variables such as `CACHE_PORT=tcp://10.0.0.1:6379` for a Service named `cache`. They are refused or warned
  about by name: set `enableServiceLinks: false` in the pod's spec.
- **Reload.** What is marked *reloads* acts again within 5 seconds after a file of the configuration, or of a secret, changed, and
  on SIGHUP. A file that is wrong is refused as a whole, and what served before goes on; what needs a restart is named in the
  log. Variables never reload.

In the column *acts*, *no* means that the key is accepted, since deployments set it, and why it has no effect.
";

/// docs/configuration.md.
pub fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for section in SECTIONS {
        let _ = write!(page, "\n## `{}`\n\n{}\n\n", section.name, section.doc);
        page.push_str("| key | variable | default | must be | acts | what |\n|---|---|---|---|---|---|\n");
        for key in section.keys {
            let variables = [key.variable(), key.file_variable()].into_iter().flatten();
            let variables: Vec<String> = variables.map(|variable| format!("`{variable}`")).collect();
            let acts = match key.effect {
                Effect::AtStart => "at the start".to_owned(),
                Effect::Reloads => "reloads".to_owned(),
                Effect::Ignored(why) => format!("no: {why}"),
            };
            let cells = [
                format!("`{}`", key.path),
                variables.join(", "),
                format!("`{}`", key.default),
                cell(key.allowed),
                acts,
                cell(key.doc),
            ];
            let _ = writeln!(page, "| {} |", cells.join(" | "));
        }
    }
    page
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
