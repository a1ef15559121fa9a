//! Routes for the other services and the operators' tool, which authenticate by service credential.

use auth::Caller;
use axum::{Json, extract::State};
use chassis::http::Id;
use error::{Error, Problem};
use serde_json::{Value, json};

use super::{Api, view};
use crate::domain::ids::UserId;

/// The user service.
pub(super) const USER: &str = "user";
/// The operators' tool.
pub(super) const TRIREME: &str = "trireme";

pub(super) async fn close_account(
    caller: Caller,
    State(api): State<Api>,
    id: Id<UserId>,
) -> Result<Json<Value>, Error> {
    only(&caller, USER)?;
    let open = api.app.close_account(id.0).await?;
    Ok(Json(json!({ "open_orders": open })))
}

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
