//! The connection to NATS: made and kept by the client, watched here.

use std::{fmt, path::PathBuf, time::Duration};

use async_nats::{Client, ConnectOptions, Event, ServerAddr};
use tokio::{sync::watch, time::timeout};

/// A dead connection is found after at most three of these.
const PING_INTERVAL: Duration = Duration::from_secs(5);

/// How long a connection that is to replace a working one is waited for without a word.
const RENEWAL_TIMEOUT: Duration = Duration::from_secs(2);

/// How the relay proves to the NATS server who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Not at all.
    #[default]
    None,
    /// By a user's name and password.
    UserAndPassword {
        /// The name.
        user: String,
        /// The password.
        password: String,
    },
    /// By a token.
    Token(String),
    /// By the seed of a user's nkey.
    Nkey(String),
    /// By a `.creds` file: a JWT and the seed of its nkey.
    File(PathBuf),
}

/// How the NATS servers are spoken to over TLS. A server that demands it is spoken to so in any case.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RelayTls {
    /// Whether a server that speaks none is refused.
    pub is_required: bool,
    /// Who may have signed their certificates, PEM; none for whom the system trusts.
    pub ca_file: Option<PathBuf>,
    /// The client certificate and its key, PEM.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// Without the secrets.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None"),
            Self::UserAndPassword { user, .. } => write!(f, "UserAndPassword({user}, ***)"),
            Self::Token(_) => f.write_str("Token(***)"),
            Self::Nkey(_) => f.write_str("Nkey(***)"),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

/// The connection, and what became of it.
pub(super) struct NatsConnection {
    pub(super) client: Client,
    state: watch::Receiver<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    is_connected: bool,
    /// How many connections were made so far, this one included.
    connections: u64,
    error: Option<String>,
}

impl NatsConnection {
    /// Begins to connect, and goes on trying until it is dropped.
    pub(super) async fn connect(
        servers: &[ServerAddr],
        credentials: &Credentials,
        tls: &RelayTls,
    ) -> Result<Self, String> {
        let (sender, state) = watch::channel(State::default());
        let options = match credentials.clone() {
            Credentials::None => ConnectOptions::new(),
            Credentials::UserAndPassword { user, password } => ConnectOptions::with_user_and_password(user, password),
            Credentials::Token(token) => ConnectOptions::with_token(token),
            Credentials::Nkey(seed) => ConnectOptions::with_nkey(seed),
            Credentials::File(path) => ConnectOptions::with_credentials_file(&path)
                .await
                .map_err(|error| format!("the credentials file {}: {error}", path.display()))?,
        };
        let RelayTls { is_required, ca_file, client } = tls.clone();
        let options = options.require_tls(is_required);
        let options = match ca_file {
            Some(file) => options.add_root_certificates(file),
            None => options,
        };
        let options = match client {
            Some((cert, key)) => options.add_client_certificate(cert, key),
            None => options,
        };
        let noted = move |event: Event| {
            sender.send_modify(|state| state.note(&event));
            std::future::ready(())
        };
        let options = options.name("cqar relay").retry_on_initial_connect().ping_interval(PING_INTERVAL);
        let options = options.event_callback(noted);
        let client = options.connect(servers).await.map_err(|error| error.to_string())?;
        Ok(Self { client, state })
    }

    /// Why there is no connection just now; none if there is one.
    pub(super) fn fault(&self) -> Option<String> {
        let state = self.state.borrow();
        (!state.is_connected).then(|| state.reason().to_owned())
    }

    /// Waits for a connection and names it. `waiting` is told why it takes time.
    pub(super) async fn connected(&mut self, mut waiting: impl FnMut(&str)) -> u64 {
        loop {
            let state = self.state.borrow_and_update().clone();
            if state.is_connected {
                return state.connections;
            }
            waiting(state.reason());
            self.changed().await;
        }
    }

    /// Resolves when this connection is lost.
    pub(super) async fn lost(&mut self, connection: u64) -> String {
        loop {
            let state = self.state.borrow_and_update().clone();
            if !state.is_connected || state.connections != connection {
                return state.error.unwrap_or_else(|| "the connection was lost".to_owned());
            }
            self.changed().await;
        }
    }

    /// Makes another connection in place of this one. If that takes time, [`NatsConnection::connected`] says so.
    pub(super) async fn renew(&mut self, connection: u64) {
        let renewed = async {
            if self.client.force_reconnect().await.is_err() {
                return;
            }
            while !self.state.borrow_and_update().is_connection_after(connection) {
                self.changed().await;
            }
        };
        let _ = timeout(RENEWAL_TIMEOUT, renewed).await;
    }

    async fn changed(&mut self) {
        if self.state.changed().await.is_err() {
            // The client is gone, and with it the last change.
            std::future::pending::<()>().await;
        }
    }
}

impl State {
    fn reason(&self) -> &str {
        self.error.as_deref().unwrap_or("not connected yet")
    }

    const fn is_connection_after(&self, connection: u64) -> bool {
        self.is_connected && self.connections > connection
    }

    fn note(&mut self, event: &Event) {
        match event {
            Event::Connected => {
                *self = Self { is_connected: true, connections: self.connections + 1, error: None };
            }
            Event::Disconnected | Event::Closed => self.is_connected = false,
            Event::ServerError(error) => self.error = Some(error.to_string()),
            Event::ClientError(error) => self.error = Some(error.to_string()),
            Event::LameDuckMode | Event::Draining | Event::SlowConsumer(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        let credentials = [
            Credentials::Token("se-cret".into()),
            Credentials::Nkey("se-cret".into()),
            Credentials::UserAndPassword { user: "cqar".into(), password: "se-cret".into() },
        ];
        assert!(!format!("{credentials:?}").contains("se-cret"));
    }
}
