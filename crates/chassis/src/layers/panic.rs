//! What a client sees when a handler panics.

use std::any::Any;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use error::Error;
use tonic::Status;

use crate::tasks::panic_message;

// Both are given to tower-http's CatchPanicLayer, which hands over the box.
#[expect(clippy::needless_pass_by_value)]
pub(crate) fn http(panic: Box<dyn Any + Send>) -> Response {
    Error::internal(format!("panic: {}", panic_message(&*panic))).into_response()
}

#[expect(clippy::needless_pass_by_value)]
pub(crate) fn grpc(panic: Box<dyn Any + Send>) -> Response {
    tracing::error!(cause = panic_message(&*panic), "call panicked");
    Status::internal("internal error").into_http::<Body>()
}
