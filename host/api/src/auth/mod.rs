//! Who calls, whether they may, and how much at once.
//!
//! | module | subject |
//! |---|---|
//! | [`callers`](Callers) | who may call |
//! | [`scopes`](Grant) | what a caller may do, and what each method needs |
//! | [`limits`](CallerLimits) | how much a caller may do at once |
//! | `refusals` | those that may not: what they are told, counted and logged |

mod callers;
mod limits;
mod refusals;
mod scopes;

use std::{
    future::{Future, Ready, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready as poll_ready},
    time::SystemTime,
};

use futures::future::Either;
use http::{HeaderMap, Request, Response, header::AUTHORIZATION};
use pin_project_lite::pin_project;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

use self::{callers::KnownCaller, limits::CallPermit, refusals::Refusal};
pub use self::{
    callers::{Caller, Callers, Credential},
    limits::CallerLimits,
    scopes::{Grant, NoGrant, Scope, UnknownAccess},
};
pub(crate) use self::{
    limits::CallerUse,
    refusals::Refusals,
    scopes::{Access, access},
};
use crate::{listen::Peer, metrics::Method};

/// The actor where nobody has a key.
pub(crate) const ANONYMOUS: &str = "anonymous";

/// Names that callers may not have, since the registry itself acts by them.
pub const RESERVED_NAMES: [&str; 4] = ["system", "starter", "sync", ANONYMOUS];

/// Who calls, as an extension of the request.
#[derive(Debug, Clone)]
pub(crate) struct Actor(Arc<KnownCaller>);

impl Actor {
    /// The name.
    pub(crate) fn name(&self) -> &str {
        &self.0.name
    }

    /// What it does just now.
    pub(crate) fn used(&self) -> &Arc<CallerUse> {
        &self.0.used
    }
}

/// The place of a stream among those of its caller, as an extension of the answer. Whoever sends the stream holds it.
#[derive(Debug, Clone)]
pub(crate) struct StreamPermit {
    _held: Arc<CallPermit>,
}

/// Lets only those through who may call, and notes who it is.
#[derive(Debug, Clone)]
pub(crate) struct AuthLayer {
    pub(crate) callers: Callers,
    pub(crate) reflection_requires_key: bool,
    pub(crate) refusals: Refusals,
}

impl AuthLayer {
    /// Who calls, with the call's place; none where it does not matter.
    fn admit<B>(&self, request: &Request<B>) -> Result<Option<(Actor, CallPermit)>, Refusal> {
        let method = request.extensions().get::<Arc<Method>>();
        let needs = method.and_then(|method| method.access);
        let is_open = match needs {
            Some(Access::Open) => true,
            Some(Access::Reflection) => !self.reflection_requires_key,
            Some(Access::Scoped(..)) | None => false,
        };
        if is_open || self.callers.is_empty() {
            return Ok(None);
        }
        let caller = self.known(request)?;
        if caller.has_expired(SystemTime::now) {
            return Err(Refusal::Expired { name: Arc::clone(&caller.name) });
        }
        if let Some(Access::Scoped(scope, service)) = needs
            && !caller.may(scope, service)
        {
            return Err(Refusal::Scope { name: Arc::clone(&caller.name), scope, service });
        }
        let permit = caller.used.begin(method.is_some_and(|method| method.is_streaming)).map_err(Refusal::Limit)?;
        Ok(Some((Actor(caller), permit)))
    }

    /// Who it is by its key, or without one by its certificate. A key that is not known is not made up for by a certificate.
    fn known<B>(&self, request: &Request<B>) -> Result<Arc<KnownCaller>, Refusal> {
        if let Some(key) = presented(request.headers()) {
            return self.callers.by_key(key).ok_or(Refusal::KeyUnknown);
        }
        let names = request.extensions().get::<Arc<Peer>>().map_or(&[][..], |peer| &peer.names);
        match self.callers.by_certificate(names) {
            Some(caller) => Ok(caller),
            None if names.is_empty() => Err(Refusal::KeyMissing),
            None => Err(Refusal::CertificateUnknown),
        }
    }
}

/// `authorization: Bearer KEY` or `x-api-key: KEY`.
fn presented(headers: &HeaderMap) -> Option<&[u8]> {
    let bearer = headers.get(AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked("Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key)
    });
    bearer.or_else(|| headers.get("x-api-key").map(http::HeaderValue::as_bytes)).map(<[u8]>::trim_ascii)
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
    type Future = Either<AdmittedFuture<S::Future>, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let permit = match self.rules.admit(&request) {
            Ok(None) => None,
            Ok(Some((actor, permit))) => {
                tracing::Span::current().record("actor", actor.name());
                request.extensions_mut().insert(actor);
                Some(permit)
            }
            Err(refusal) => {
                let peer = request.extensions().get::<Arc<Peer>>().map(|peer| peer.address);
                return Either::Right(ready(Ok(self.rules.refusals.refuse(refusal, peer).into_http())));
            }
        };
        Either::Left(AdmittedFuture { inner: self.inner.call(request), permit })
    }
}

pin_project! {
    /// The answer to a call that was let through, which has its place until it is there; that of a stream goes with it.
    pub(crate) struct AdmittedFuture<F> {
        #[pin]
        inner: F,
        permit: Option<CallPermit>,
    }
}

impl<F, E> Future for AdmittedFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let mut answered = poll_ready!(this.inner.poll(cx));
        if let (Some(permit), Ok(response)) = (this.permit.take_if(|permit| permit.is_stream()), &mut answered)
            && !response.headers().contains_key(Status::GRPC_STATUS)
        {
            response.extensions_mut().insert(StreamPermit { _held: Arc::new(permit) });
        }
        *this.permit = None;
        Poll::Ready(answered)
    }
}

#[cfg(test)]
mod tests;
