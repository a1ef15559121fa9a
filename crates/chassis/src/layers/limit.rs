//! Refusing what is too much or takes too long.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use error::{Error, Problem};
use tokio::{sync::Semaphore, time::timeout_at};

use super::trace::Protocol;

/// Refuses at once when all permits are taken: load is shed, not queued.
pub(crate) async fn overload(
    State((protocol, permits)): State<(Protocol, Arc<Semaphore>)>,
    request: Request,
    next: Next,
) -> Response {
    match permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => protocol.refuse(Error::of(Problem::Overloaded)),
    }
}

/// Gives up at the deadline of the current scope.
pub(crate) async fn deadline(State(protocol): State<Protocol>, request: Request, next: Next) -> Response {
    let Some(deadline) = telemetry::deadline() else { return next.run(request).await };
    let response = timeout_at(deadline, next.run(request)).await;
    response.unwrap_or_else(|_| protocol.refuse(Error::of(Problem::DeadlineExceeded)))
}
