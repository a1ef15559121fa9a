//! `/internal/v1`: for the other services and the tool, by their credential.

use auth::Caller;
use axum::{Json, extract::State};
use error::{Error, Problem};
use serde::Serialize;

use super::schema;
use crate::api::Api;

/// The service that may ask for the audit.
const AUDITOR: &str = "trireme";

#[derive(Serialize)]
pub(super) struct View {
    users: u64,
    closing: u64,
    outbox: u64,
    orders_placed: u64,
}

/// Adds accounts and orders up
#[utoipa::path(
    get, path = "/internal/v1/audit", operation_id = "audit", tag = "internal", security(("credential" = [])),
    responses((status = 200, description = "The sums.", body = schema::Audit)),
)]
pub(super) async fn audit(State(api): State<Api>, caller: Caller) -> Result<Json<View>, Error> {
    if caller.name() != AUDITOR {
        return Err(Error::new(Problem::CallerNotAllowed, "this service may not call here"));
    }
    let audit = api.app.audit().await?;
    Ok(Json(View {
        users: audit.totals.users,
        closing: audit.totals.closing,
        outbox: audit.outbox,
        orders_placed: audit.totals.orders_placed,
    }))
}
