//! `/outbox/dead` of the admin port: what a service could not publish, and another try for it.

use axum::{Json, Router, routing::get};
use error::Error;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{http::Payload, json};

/// Rows that are shown at a time.
const LIMIT: usize = 1_000;
/// The longest body, in bytes.
const MAX_BODY: usize = 1024;

/// What the outbox answers.
type Answer<T> = BoxFuture<'static, Result<T, Box<dyn std::error::Error + Send + Sync>>>;

/// The routes that show the dead rows of a service's outbox and have them tried again.
///
/// `list` is told how many to show at most; `revive` is given an event's id, or nothing for all, and says how many there
/// were. Put a check of who asks in front of them.
pub fn dead_rows<L, R>(list: L, revive: R) -> Router
where
    L: Fn(usize) -> Answer<Vec<Value>> + Clone + Send + Sync + 'static,
    R: Fn(Option<Uuid>) -> Answer<u64> + Clone + Send + Sync + 'static,
{
    let show = async move || {
        let rows = list(LIMIT).await.map_err(away)?;
        Ok::<_, Error>(Json(json!({ "rows": rows })))
    };
    let again = async move |payload: Payload| {
        let id = |text: &str| Uuid::parse_str(text).map_err(|_| "must be a UUID");
        let body = payload.at_most(MAX_BODY).json().await?;
        let event = body.read(|body| body.optional("id", json::text(id)))?;
        let revived = revive(event).await.map_err(away)?;
        tracing::warn!(revived, "dead events of the outbox are tried again");
        Ok::<_, Error>(Json(json!({ "revived": revived })))
    };
    Router::new().route("/outbox/dead", get(show).post(again))
}

fn away(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::unavailable("the outbox").with_source(error)
}
