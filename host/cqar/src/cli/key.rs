//! `cqar key`: API keys, made here and shown once.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::{Args, Subcommand};
use cqar_api::auth::Grant;
use cqar_domain::time::Timestamp;

use super::{
    ClientArgs,
    error::{CliError, Exit},
    output,
};
use crate::config::{callers::check_name, contents::sha256_hex};

/// 256 bits, in 43 characters.
const KEY_BYTES: usize = 32;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cqar key new desk-1 --scope read                   may look up
  cqar key new sync --scope read --scope write:MarketService --expires 2027-01-31T00:00:00Z

The key is shown once, and kept nowhere; the line is for the file that auth.keys_file
(AUTH_KEYS_FILE) names. To replace a key, add the line of the new one beside the old one, and take
the old one away when nobody uses it any more: the server reads the file again by itself.")]
pub struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Makes a key.
    New(NewArgs),
}

#[derive(Debug, Args)]
struct NewArgs {
    /// The actor in the event log.
    name: String,
    /// What it may do: read, write or admin, or one of them for a service, such as write:MarketService. May be repeated.
    #[arg(long = "scope", value_name = "SCOPE", default_values = ["read"])]
    scopes: Vec<Grant>,
    /// Until when it may, such as 2027-01-31T00:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = |text: &str| text.parse::<Timestamp>().map_err(|error| error.to_string()))]
    expires: Option<Timestamp>,
}

/// Carries it out.
pub fn run(args: KeyArgs, client: &ClientArgs) -> Result<Exit, CliError> {
    let KeyCommand::New(NewArgs { name, scopes, expires }) = args.command;
    check_name(&name).map_err(|why| CliError::Usage(format!("the name {why}")))?;
    let mut bytes = [0; KEY_BYTES];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut bytes).map_err(|_| anyhow::anyhow!("the system has no randomness to make a key from"))?;
    let key = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let hash = sha256_hex(key.as_bytes());
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    let expires = expires.map(|time| time.to_string());
    let until = expires.as_ref().map(|time| format!(", expires: {time}")).unwrap_or_default();
    // In quotes: a name may begin with @, which a plain text of YAML may not.
    let entry = format!("- {{name: {name:?}, sha256: {hash}, scopes: [{}]{until}}}", scopes.join(", "));
    let answer = serde_json::json!({"name": name, "key": key, "entry": entry});
    if !client.format().print(&answer)? {
        output::line(&format!("key, shown only here:     {key}"))?;
        output::line(&format!("line for auth.keys_file:  {entry}"))?;
    }
    Ok(Exit::Done)
}
