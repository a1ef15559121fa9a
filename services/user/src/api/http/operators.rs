//! What only operators may do: `/v1/users/{id}/disable`, `/v1/users/{id}/enable` and `/v1/audit`.

use auth::Operator;
use axum::{
    extract::State,
    http::{StatusCode, Uri},
    response::Response,
};
use chassis::{
    http::{Id, Params, Payload},
    json::text,
    openapi::Paged,
};
use error::Error;
use serde::Serialize;

use super::{cursor::position, schema, users};
use crate::{
    api::Api,
    app::ports::AuditEntry,
    domain::{Reason, UserId},
};

/// An action of an operator as others see it.
#[derive(Serialize)]
struct View {
    id: String,
    at: String,
    /// Whose token it was; null for a command of the binary.
    actor_id: Option<String>,
    action: &'static str,
    user_id: Option<String>,
    detail: Option<String>,
}

/// Disables an account
///
/// Its sessions end, nobody logs in to it, and its tokens may only read.
#[utoipa::path(
    post, path = "/v1/users/{id}/disable", operation_id = "disableUser", tag = "operators", security(("bearer" = [])),
    params(Id::<UserId>), request_body = schema::OperatorReason,
    responses((status = 200, description = "The account.", body = schema::User)),
    extensions(("x-problems" = json!(["operator-required", "own-account", "account-closing", "account-disabled"]))),
)]
pub(super) async fn disable(
    State(api): State<Api>,
    operator: Operator,
    id: Id<UserId>,
    payload: Payload,
) -> Result<Response, Error> {
    set_disabled(&api, &operator, id, true, payload).await
}

/// Enables an account that was disabled
#[utoipa::path(
    post, path = "/v1/users/{id}/enable", operation_id = "enableUser", tag = "operators", security(("bearer" = [])),
    params(Id::<UserId>), request_body = schema::OperatorReason,
    responses((status = 200, description = "The account.", body = schema::User)),
    extensions(("x-problems" = json!(["operator-required", "own-account", "account-closing", "account-disabled"]))),
)]
pub(super) async fn enable(
    State(api): State<Api>,
    operator: Operator,
    id: Id<UserId>,
    payload: Payload,
) -> Result<Response, Error> {
    set_disabled(&api, &operator, id, false, payload).await
}

async fn set_disabled(
    api: &Api,
    Operator(operator): &Operator,
    Id(id): Id<UserId>,
    disabled: bool,
    payload: Payload,
) -> Result<Response, Error> {
    // Before the body is read: who may not, or what is not there, is refused first.
    api.app.may_change(UserId(operator.user_id)).await?;
    api.app.get_user(id).await?;
    let reason = payload.json().await?.read(|body| body.required("reason", text(Reason::parse)))?;
    let account = api.app.set_disabled(UserId(operator.user_id), id, disabled, reason).await?;
    Ok(users::response(StatusCode::OK, &account))
}

/// Lists what operators did, youngest first
#[utoipa::path(
    get, path = "/v1/audit", operation_id = "listOperatorActions", tag = "operators", security(("bearer" = [])),
    params(Paged), responses((status = 200, description = "A page.", body = schema::AuditPage)),
    extensions(("x-problems" = json!(["operator-required", "account-closing", "account-disabled"]))),
)]
pub(super) async fn audit(State(api): State<Api>, Operator(operator): Operator, uri: Uri) -> Result<Response, Error> {
    api.app.may_change(UserId(operator.user_id)).await?;
    let mut params = Params::of(&uri);
    let page = params.page();
    params.finish()?;
    let after = page.cursor.as_deref().map(position).transpose()?;
    // One more than the page holds says whether there is a next one.
    let entries = api.app.audit_trail(after, page.limit + 1).await?;
    Ok(chassis::http::list(&page, entries, view, |entry| entry.id.to_string()))
}

fn view(entry: AuditEntry) -> View {
    View {
        id: entry.id.to_string(),
        at: clock::rfc3339(entry.at),
        actor_id: entry.actor.map(|id| id.to_string()),
        action: entry.action.as_str(),
        user_id: entry.subject.map(|id| id.to_string()),
        detail: entry.detail,
    }
}
