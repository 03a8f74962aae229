//! The connection to a server, with its deadline and the caller's key.

use std::{fs, path::Path, time::Duration};

use cqar_proto::v1;
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};

use super::{
    ClientArgs,
    error::{CliError, causes},
};
use crate::config::values::Secret;

/// How long a call may take unless `--timeout` says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The same for calls that write thousands of entities.
pub const BULK_TIMEOUT: Duration = Duration::from_mins(5);

/// How long the connection itself may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Ten thousand resolved symbols take about 10 MiB, and a page or an import's report a fraction of this.
const MAX_ANSWER_BYTES: usize = 64 << 20;

/// A server that is gone without a word is noticed after this time twice.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

type Authorized = InterceptedService<Channel, MetadataInterceptor>;

/// A connection.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    metadata: MetadataInterceptor,
}

/// What every call carries.
#[derive(Clone)]
pub struct MetadataInterceptor {
    authorization: Option<MetadataValue<Ascii>>,
    timeout: Option<Duration>,
}

impl Connection {
    /// Connects. Calls end after `--timeout`, or else after `timeout`.
    pub async fn open(args: &ClientArgs, timeout: Option<Duration>) -> Result<Self, CliError> {
        let authorization = match args.api_key.as_ref().map(Secret::expose).filter(|key| !key.is_empty()) {
            Some(key) => {
                let value = MetadataValue::try_from(format!("Bearer {key}"));
                let mut value = value.map_err(|_| CliError::Usage("the API key must be printable ASCII".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let unreachable = |error: &tonic::transport::Error| {
            let innermost = causes(error).last();
            let cause = innermost.map_or_else(|| error.to_string(), ToString::to_string);
            CliError::Unreachable { server: args.server().to_owned(), cause }
        };
        let endpoint = Endpoint::from_shared(args.server().to_owned()).map_err(|error| unreachable(&error))?;
        let endpoint = match tls(args)? {
            Some(tls) => endpoint.tls_config(tls).map_err(|error| unreachable(&error))?,
            None => endpoint,
        };
        let endpoint = endpoint
            .connect_timeout(CONNECT_TIMEOUT)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let channel = endpoint.connect().await.map_err(|error| unreachable(&error))?;
        Ok(Self { channel, metadata: MetadataInterceptor { authorization, timeout: args.timeout.or(timeout) } })
    }
}

/// How a server is spoken to by `https://`; none by `http://`.
fn tls(args: &ClientArgs) -> Result<Option<ClientTlsConfig>, CliError> {
    let ClientArgs { ca, cert, key, .. } = args;
    if !args.server().starts_with("https://") {
        // What was meant to protect the call must not be left out without a word.
        return match (ca, cert) {
            (None, None) => Ok(None),
            _ => Err(CliError::Usage(format!("--ca and --cert are for https://, and the server is {}", args.server()))),
        };
    }
    let read = |path: &Path| fs::read(path).map_err(|source| CliError::Unreadable { path: path.to_owned(), source });
    let tls = match ca {
        Some(ca) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    Ok(Some(match (cert, key) {
        (Some(cert), Some(key)) => tls.identity(Identity::from_pem(read(cert)?, read(key)?)),
        _ => tls,
    }))
}

/// The client of plugins.
pub type Plugins = v1::plugin_service_client::PluginServiceClient<Authorized>;

macro_rules! clients {
    ($($(#[doc = $doc:literal])* $name:ident: $module:ident::$client:ident;)*) => {
        impl Connection {
            $(
                $(#[doc = $doc])*
                pub fn $name(&self) -> v1::$module::$client<Authorized> {
                    let client = v1::$module::$client::with_interceptor(self.channel.clone(), self.metadata.clone());
                    client.max_decoding_message_size(MAX_ANSWER_BYTES)
                }
            )*
        }
    };
}

clients! {
    /// Assets.
    assets: asset_service_client::AssetServiceClient;
    /// Chains.
    chains: chain_service_client::ChainServiceClient;
    /// Venues and their codes for assets.
    venues: venue_service_client::VenueServiceClient;
    /// What others call entities.
    identifiers: identifier_service_client::IdentifierServiceClient;
    /// Instruments.
    instruments: instrument_service_client::InstrumentServiceClient;
    /// Markets and symbols.
    markets: market_service_client::MarketServiceClient;
    /// Many changes at once, listings, and the status.
    registry: registry_service_client::RegistryServiceClient;
    /// The event log.
    events: event_service_client::EventServiceClient;
    /// Plugins.
    plugins: plugin_service_client::PluginServiceClient;
}

/// The results of a batch, one for each that was asked for.
pub fn one_each<T>(asked: usize, results: Vec<T>) -> Result<Vec<T>, CliError> {
    if results.len() == asked { Ok(results) } else { Err(Status::internal("a wrong number of answers").into()) }
}

impl Interceptor for MetadataInterceptor {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(authorization) = &self.authorization {
            request.metadata_mut().insert("authorization", authorization.clone());
        }
        if let Some(timeout) = self.timeout {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}
