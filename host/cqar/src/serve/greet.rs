//! What a newcomer is told when the server serves: where it is, what is missing, and what to try next.

use std::{
    env,
    io::{self, IsTerminal, Write},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use cqar_domain::id::VenueId;

use crate::cli::output::coloured;

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    /// None where nothing is to be scraped.
    pub metrics: Option<SocketAddr>,
}

/// A venue's symbology plugin that does not serve.
#[derive(Debug)]
pub struct MissingPlugin {
    pub venue: String,
    pub plugin: String,
    /// The command that puts it where the server looks.
    pub mend: String,
}

impl MissingPlugin {
    /// The plugin of a venue, which is not in the directory of plugins.
    pub fn new(venue: &VenueId, plugin: String, plugins: &Path) -> Self {
        let file = format!("{plugin}.wasm");
        let plugins = std::path::absolute(plugins).unwrap_or_else(|_| plugins.to_owned());
        let target = plugins.join(&file);
        let copy = |from: &Path| format!("mkdir -p {} && cp {} {}", quoted(&plugins), quoted(from), quoted(&target));
        let build = "plugins/build shipped";
        let mend = match built().map(|dir| dir.join(&file)) {
            // It is there, and does not serve: the list says why.
            _ if target.exists() => "cqar plugin list".to_owned(),
            Some(source) if source == target => build.to_owned(),
            Some(source) if source.exists() => copy(&source),
            _ => format!("{build} && {}", copy(&Path::new("target/plugins").join(&file))),
        };
        Self { venue: venue.to_string(), plugin, mend }
    }
}

/// A path as a shell reads it.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+".contains(c));
    if is_plain { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// Where `plugins/build shipped` puts plugins, for a binary of the same checkout.
fn built() -> Option<PathBuf> {
    let binary = env::current_exe().ok()?;
    Some(binary.parent()?.parent()?.join("plugins"))
}

/// Says so on the standard output; the addresses are the real ones.
pub fn greet(addresses: &Addresses, missing: &[MissingPlugin]) -> io::Result<()> {
    let Addresses { grpc, http, metrics } = addresses;
    let binary = env::current_exe().map_or_else(|_| "cqar".to_owned(), |path| shown(&path));
    let server = if grpc.port() == 9090 { String::new() } else { format!(" --server http://{grpc}") };
    let mut out = io::stdout().lock();
    let is_coloured = coloured(io::stdout().is_terminal());
    let bold = |text: &str| if is_coloured { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    writeln!(out, "\n{}", bold("cqar serves"))?;
    writeln!(out, "  gRPC     http://{grpc}")?;
    writeln!(out, "  HTTP     http://{http}/health/ready")?;
    if let Some(metrics) = metrics {
        writeln!(out, "  metrics  http://{metrics}/metrics")?;
    }
    writeln!(out)?;
    if !missing.is_empty() {
        writeln!(out, "{}", bold("Missing: listings of these venues cannot be imported until their plugin serves"))?;
        for MissingPlugin { venue, plugin, mend } in missing {
            writeln!(out, "  {venue}: {plugin}\n    {mend}")?;
        }
        writeln!(out)?;
    }
    writeln!(out, "{}", bold("Try, in another shell"))?;
    writeln!(out, "  {binary}{server} resolve binance BTCUSDT --segment spot")?;
    writeln!(out, "  {binary}{server} list markets --venue coinbase")?;
    writeln!(out, "  {binary}{server} plugin list\n")?;
    out.flush()
}

/// Relative to where the user is, if it lies below.
fn shown(binary: &Path) -> String {
    let relative = env::current_dir().ok().and_then(|here| binary.strip_prefix(here).ok().map(Path::to_owned));
    match relative {
        Some(relative) => format!("./{}", relative.display()),
        None => binary.display().to_string(),
    }
}
