//! Who calls: API keys, kept as hashes and compared in constant time.

use std::{
    fmt,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use arc_swap::ArcSwap;
use cqar_proto::v1::ErrorReason;
use futures::future::Either;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::status_builder::StatusBuilder;

/// The actor where no key is configured.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// The keys that may call, and whose they are. Clones share them, so that they can be replaced while the server serves.
#[derive(Clone, Default)]
pub struct ApiKeys(Arc<ArcSwap<Vec<ApiKey>>>);

struct ApiKey {
    hash: [u8; 32],
    actor: Actor,
}

/// The name of the caller's key, as an extension of the request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor(Arc<str>);

impl ApiKeys {
    /// Keys with the names of their owners. Only hashes are kept. Without any key everybody may call, as `anonymous`.
    pub fn new<K: AsRef<[u8]>, N: AsRef<str>>(keys: impl IntoIterator<Item = (K, N)>) -> Self {
        let this = Self::default();
        this.replace(keys);
        this
    }

    /// From the next call on these keys may call, and no others.
    pub fn replace<K: AsRef<[u8]>, N: AsRef<str>>(&self, keys: impl IntoIterator<Item = (K, N)>) {
        let keys =
            keys.into_iter().map(|(key, name)| ApiKey { hash: hash(key.as_ref()), actor: Actor(name.as_ref().into()) });
        self.0.store(Arc::new(keys.collect()));
    }

    /// Whether a key is needed at all.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Whose key the headers carry. Every key is compared, whole, so that the time tells nothing of how near a guess is.
    fn actor(&self, headers: &HeaderMap) -> Result<Actor, Status> {
        let keys = self.0.load();
        let presented = hash(presented(headers).ok_or_else(missing)?);
        // Past the last key: none.
        let mut found = u64::MAX;
        for (n, key) in (0..).zip(keys.iter()) {
            found.conditional_assign(&n, key.hash.ct_eq(&presented));
        }
        let key = usize::try_from(found).ok().and_then(|found| keys.get(found));
        key.map(|key| key.actor.clone()).ok_or_else(unknown)
    }
}

/// The owners alone, never keys or their hashes.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.load().iter().map(|key| &key.actor.0)).finish()
    }
}

impl Actor {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0
    }
}

fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// `authorization: Bearer KEY` or `x-api-key: KEY`.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
    });
    bearer.or_else(|| headers.get("x-api-key").map(http::HeaderValue::as_bytes)).map(<[u8]>::trim_ascii)
}

fn missing() -> Status {
    let message = "an API key is needed, as `authorization: Bearer KEY` or `x-api-key: KEY`";
    StatusBuilder::new(Code::Unauthenticated, ErrorReason::ApiKeyMissing, message).into_status()
}

fn unknown() -> Status {
    StatusBuilder::new(Code::Unauthenticated, ErrorReason::ApiKeyUnknown, "the API key is not known").into_status()
}

/// Lets only calls with a known key through, and notes whose it is.
#[derive(Debug, Clone)]
pub(crate) struct AuthLayer {
    pub(crate) keys: ApiKeys,
    pub(crate) reflection_requires_key: bool,
}

impl AuthLayer {
    /// Probes have no key; whether tools that ask for the contract need one is configured.
    fn is_open(&self, path: &str) -> bool {
        self.keys.is_empty()
            || path.starts_with("/grpc.health.v1.Health/")
            || (!self.reflection_requires_key && path.starts_with("/grpc.reflection."))
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = AuthService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        AuthService { rules: self.clone(), inner }
    }
}

/// A service behind [`AuthLayer`].
#[derive(Debug, Clone)]
pub(crate) struct AuthService<S> {
    rules: AuthLayer,
    inner: S,
}

impl<S, B> Service<Request<B>> for AuthService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if !self.rules.is_open(request.uri().path()) {
            match self.rules.keys.actor(request.headers()) {
                Ok(actor) => {
                    tracing::Span::current().record("actor", actor.name());
                    request.extensions_mut().insert(actor);
                }
                Err(status) => return Either::Right(ready(Ok(status.into_http()))),
            }
        }
        Either::Left(self.inner.call(request))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use tonic_types::StatusExt;
    use tower::{ServiceExt, service_fn};

    use super::*;

    fn keys() -> ApiKeys {
        ApiKeys::new([("sesame", "desk-1"), ("open", "desk-2")])
    }

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    fn reason(status: &Status) -> String {
        assert_eq!(status.code(), Code::Unauthenticated);
        status.get_details_error_info().unwrap().reason
    }

    /// Sends a request to a service that answers with the actor in a header.
    async fn call(rules: AuthLayer, path: &str, headers: HeaderMap) -> Response<Body> {
        let inner = service_fn(async |request: Request<()>| {
            let mut response = Response::new(Body::empty());
            if let Some(actor) = request.extensions().get::<Actor>() {
                response.headers_mut().insert("actor", HeaderValue::from_str(actor.name()).unwrap());
            }
            Ok::<_, std::convert::Infallible>(response)
        });
        let mut request = Request::builder().uri(path).body(()).unwrap();
        *request.headers_mut() = headers;
        rules.layer(inner).oneshot(request).await.unwrap()
    }

    #[test]
    fn a_key_says_who_calls_in_either_header() {
        let keys = keys();
        for (name, value, actor) in [
            ("authorization", "Bearer sesame", "desk-1"),
            ("authorization", "bearer  open ", "desk-2"),
            ("x-api-key", "open", "desk-2"),
        ] {
            assert_eq!(keys.actor(&headers(name, value)).unwrap().name(), actor, "{name}: {value}");
        }
    }

    #[test]
    fn a_wrong_key_and_no_key_are_told_apart() {
        let keys = keys();
        for (name, value, expected) in [
            ("authorization", "Bearer sesam", "API_KEY_UNKNOWN"),
            ("authorization", "Bearer ", "API_KEY_UNKNOWN"),
            ("x-api-key", "", "API_KEY_UNKNOWN"),
            ("authorization", "Basic sesame", "API_KEY_MISSING"),
            ("authorization", "Bear", "API_KEY_MISSING"),
            ("accept", "sesame", "API_KEY_MISSING"),
        ] {
            assert_eq!(reason(&keys.actor(&headers(name, value)).unwrap_err()), expected, "{name}: {value}");
        }
    }

    #[test]
    fn keys_that_are_replaced_are_unknown_at_once_and_new_ones_known() {
        let keys = keys();
        let rules = keys.clone();
        keys.replace([("open", "desk-2"), ("new", "desk-3")]);
        assert_eq!(reason(&rules.actor(&headers("x-api-key", "sesame")).unwrap_err()), "API_KEY_UNKNOWN");
        assert_eq!(rules.actor(&headers("x-api-key", "new")).unwrap().name(), "desk-3");
        assert_eq!(rules.actor(&headers("x-api-key", "open")).unwrap().name(), "desk-2");
    }

    #[test]
    fn no_key_is_shown() {
        let shown = format!("{:?}", keys());
        assert_eq!(shown, r#"["desk-1", "desk-2"]"#);
    }

    #[tokio::test]
    async fn only_probes_pass_without_a_key_and_reflection_if_it_may() {
        let strict = AuthLayer { keys: keys(), reflection_requires_key: true };
        let lax = AuthLayer { reflection_requires_key: false, ..strict.clone() };
        let reflection = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";
        for (rules, path, passes) in [
            (&strict, "/grpc.health.v1.Health/Check", true),
            (&strict, "/grpc.health.v1.HealthX/Check", false),
            (&strict, reflection, false),
            (&lax, reflection, true),
            (&lax, "/cqar.v1.AssetService/GetAsset", false),
            (&lax, "/nonsense", false),
        ] {
            let response = call(rules.clone(), path, HeaderMap::new()).await;
            assert_eq!(Status::from_header_map(response.headers()).is_none(), passes, "{path}");
        }
    }

    #[tokio::test]
    async fn the_actor_goes_with_the_request() {
        let rules = AuthLayer { keys: keys(), reflection_requires_key: true };
        let response = call(rules, "/cqar.v1.AssetService/GetAsset", headers("x-api-key", "sesame")).await;
        assert_eq!(response.headers()["actor"], "desk-1");
    }

    #[tokio::test]
    async fn without_keys_everybody_is_anonymous() {
        let rules = AuthLayer { keys: ApiKeys::default(), reflection_requires_key: true };
        let response = call(rules, "/cqar.v1.AssetService/GetAsset", headers("x-api-key", "any")).await;
        assert!(Status::from_header_map(response.headers()).is_none() && !response.headers().contains_key("actor"));
    }
}
