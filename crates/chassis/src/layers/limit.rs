//! Refusing what is too much or takes too long.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use error::{Error, Problem};
use tokio::time::timeout_at;

use super::trace::Protocol;
use crate::in_flight::InFlight;

/// Refuses at once when all places are taken: load is shed, not queued.
pub(crate) async fn overload(
    State((protocol, in_flight)): State<(Protocol, Arc<InFlight>)>,
    request: Request,
    next: Next,
) -> Response {
    match in_flight.admit() {
        Some(_permit) => next.run(request).await,
        None => protocol.refuse(Error::of(Problem::Overloaded)),
    }
}

/// Gives up at the deadline of the current scope.
pub(crate) async fn deadline(State(protocol): State<Protocol>, request: Request, next: Next) -> Response {
    let Some(deadline) = telemetry::deadline() else { return next.run(request).await };
    let response = timeout_at(deadline, next.run(request)).await;
    response.unwrap_or_else(|_| protocol.refuse(Error::of(Problem::DeadlineExceeded)))
}
