//! Refusing what is too much or takes too long.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use error::{Error, Kind};
use tokio::{sync::Semaphore, time::timeout_at};
use tonic::Status;

use super::trace::Protocol;

/// Refuses at once when all permits are taken: load is shed, not queued.
pub(crate) async fn overload(
    State((protocol, permits)): State<(Protocol, Arc<Semaphore>)>,
    request: Request,
    next: Next,
) -> Response {
    match permits.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => protocol
            .refuse(Error::new(Kind::Unavailable, "too many requests are being handled; try again shortly"), || {
                Status::resource_exhausted("too many calls are being handled")
            }),
    }
}

/// Gives up at the deadline of the current scope.
pub(crate) async fn deadline(State(protocol): State<Protocol>, request: Request, next: Next) -> Response {
    let Some(deadline) = telemetry::deadline() else { return next.run(request).await };
    let response = timeout_at(deadline, next.run(request)).await;
    response.unwrap_or_else(|_| {
        protocol.refuse(Error::new(Kind::Timeout, "it took too long"), || Status::deadline_exceeded("it took too long"))
    })
}

impl Protocol {
    fn refuse(self, http: Error, grpc: impl FnOnce() -> Status) -> Response {
        match self {
            Self::Http => http.into_response(),
            Self::Grpc => grpc().into_http::<Body>(),
        }
    }
}
