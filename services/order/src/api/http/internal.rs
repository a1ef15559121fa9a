//! Routes for the other services and the operators' tool, which authenticate by service credential.

use auth::Caller;
use axum::{Json, extract::State};
use chassis::http::Id;
use error::{Error, Problem};
use serde_json::{Value, json};

use super::{
    Api,
    schema::{Audit, OpenOrders},
    view,
};
use crate::domain::ids::UserId;

/// The user service.
pub(super) const USER: &str = "user";
/// The operators' tool.
pub(super) const TRIREME: &str = "trireme";

/// Marks an account as closing and cancels its open orders
#[utoipa::path(
    put, path = "/internal/v1/accounts/{user_id}/closing", operation_id = "closeAccount", tag = "internal",
    security(("credential" = [])), params(("user_id" = String, Path, format = "uuid", description = "Whose account.")),
    responses((status = 200, description = "How many are still open.", body = OpenOrders)),
)]
pub(super) async fn close_account(
    caller: Caller,
    State(api): State<Api>,
    id: Id<UserId>,
) -> Result<Json<Value>, Error> {
    only(&caller, USER)?;
    let open = api.app.close_account(id.0).await?;
    Ok(Json(json!({ "open_orders": open })))
}

/// Adds stock and money up
#[utoipa::path(
    get, path = "/internal/v1/audit", operation_id = "audit", tag = "internal", security(("credential" = [])),
    responses((status = 200, description = "The sums.", body = Audit)),
)]
pub(super) async fn audit(caller: Caller, State(api): State<Api>) -> Result<Json<Value>, Error> {
    only(&caller, TRIREME)?;
    Ok(Json(view::audit(&api.app.totals().await?)))
}

fn only(caller: &Caller, name: &str) -> Result<(), Error> {
    if caller.name() == name {
        Ok(())
    } else {
        Err(Error::new(Problem::CallerNotAllowed, "this service may not call here"))
    }
}
