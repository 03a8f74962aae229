//! Every error carries a `google.rpc.ErrorInfo`: those that the services do not make, too.
//!
//! What carries the calls refuses some of them by itself: messages that are too large or cannot be read, methods that do
//! not exist. It says so by a code and a text alone; here they get their reason.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use cqar_proto::v1::ErrorReason;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

use crate::status_builder::StatusBuilder;

/// Gives the errors of a service their reason.
#[derive(Debug, Clone)]
pub(crate) struct ErrorInfoLayer;

impl<S> Layer<S> for ErrorInfoLayer {
    type Service = ErrorInfoService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ErrorInfoService(inner)
    }
}

/// A service behind [`ErrorInfoLayer`].
#[derive(Debug, Clone)]
pub(crate) struct ErrorInfoService<S>(S);

impl<S, B> Service<Request<B>> for ErrorInfoService<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = ErrorInfoFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ErrorInfoFuture { inner: self.0.call(request) }
    }
}

pin_project! {
    /// The answer, with its reason if it is an error.
    pub(crate) struct ErrorInfoFuture<F> {
        #[pin]
        inner: F,
    }
}

impl<F, E> Future for ErrorInfoFuture<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
{
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answered = ready!(self.project().inner.poll(cx));
        Poll::Ready(answered.map(with_reason))
    }
}

fn with_reason(response: Response<Body>) -> Response<Body> {
    let headers = response.headers();
    // An answer without a status here is a success, or a stream, whose errors the services make.
    if !headers.contains_key(Status::GRPC_STATUS) || headers.contains_key(Status::GRPC_STATUS_DETAILS) {
        return response;
    }
    match Status::from_header_map(headers) {
        Some(status) if status.code() != Code::Ok => explained(&status).into_http(),
        _ => response,
    }
}

/// The status with its reason. tonic types none of its errors, so its texts must tell them apart; one that it should call
/// otherwise some day is a `CALL_FAILED` with its own code and text.
fn explained(status: &Status) -> Status {
    let message = status.message();
    let (code, reason) = match status.code() {
        Code::OutOfRange if message.contains("message length too large") => {
            (Code::ResourceExhausted, ErrorReason::MessageTooLarge)
        }
        Code::ResourceExhausted if message.starts_with("Error decompressing: size limit") => {
            (Code::ResourceExhausted, ErrorReason::MessageTooLarge)
        }
        Code::Internal if message.starts_with("failed to decode") || message.starts_with("Missing request message") => {
            (Code::InvalidArgument, ErrorReason::MessageMalformed)
        }
        Code::Unimplemented if message.starts_with("Content is compressed with") => {
            let message = format!("{message}; send it as gzip, or as it is");
            return with_metadata_of(status, Code::Unimplemented, ErrorReason::EncodingUnknown, &message);
        }
        Code::Unimplemented => (Code::Unimplemented, ErrorReason::MethodUnknown),
        code => (code, ErrorReason::CallFailed),
    };
    let message = if message.is_empty() { "there is no such method" } else { message };
    with_metadata_of(status, code, reason, message)
}

/// With what was said beside the status, such as the encodings that would have been accepted.
fn with_metadata_of(status: &Status, code: Code, reason: ErrorReason, message: &str) -> Status {
    let mut explained = StatusBuilder::new(code, reason, message).into_status();
    explained.metadata_mut().clone_from(status.metadata());
    explained
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn answered(status: Status) -> (Code, String) {
        let response = with_reason(status.into_http());
        let status = Status::from_header_map(response.headers()).unwrap();
        (status.code(), status.get_details_error_info().unwrap().reason)
    }

    #[test]
    fn an_error_of_the_transport_gets_its_reason() {
        let too_large = "Error, decoded message length too large: found 9 bytes, the limit is: 8 bytes";
        let not_known = "Content is compressed with `deflate` which isn't supported";
        let table = [
            (Status::out_of_range(too_large), Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            (Status::internal("failed to decode Protobuf message: x"), Code::InvalidArgument, "MESSAGE_MALFORMED"),
            (Status::unimplemented(""), Code::Unimplemented, "METHOD_UNKNOWN"),
            (Status::unimplemented(not_known), Code::Unimplemented, "ENCODING_UNKNOWN"),
            (Status::unknown("something else"), Code::Unknown, "CALL_FAILED"),
        ];
        for (status, code, reason) in table {
            assert_eq!(answered(status), (code, reason.to_owned()));
        }
    }

    #[test]
    fn an_error_that_has_its_reason_keeps_it_and_a_success_has_none() {
        let status = StatusBuilder::new(Code::NotFound, ErrorReason::SymbolUnknown, "no").into_status();
        assert_eq!(answered(status), (Code::NotFound, "SYMBOL_UNKNOWN".to_owned()));
        let response = with_reason(Response::new(Body::empty()));
        assert!(response.headers().is_empty());
    }
}
