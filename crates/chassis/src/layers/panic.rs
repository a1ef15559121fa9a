//! What a client sees when a handler panics.

use std::any::Any;

use axum::response::Response;
use error::Error;

use super::trace::Protocol;
use crate::tasks::panic_message;

// Given to tower-http's CatchPanicLayer, which hands over the box.
#[expect(clippy::needless_pass_by_value)]
pub(crate) fn answer(protocol: Protocol, panic: Box<dyn Any + Send>) -> Response {
    protocol.refuse(Error::internal(format!("panic: {}", panic_message(&*panic))))
}
