//! `/v1/users/me/password`, and the current password wherever a request needs it.

use auth::Identity;
use axum::{extract::State, http::StatusCode};
use chassis::{
    http::{ClientAddress, Payload},
    json::{Node, text},
};
use error::Error;

use super::schema;
use crate::{
    api::Api,
    app::Reauthentication,
    domain::{Invalid, Password, SessionId, UserId},
};

/// Reads a current password: any text will do, because it is only compared.
pub(super) fn current_password() -> impl FnOnce(&Node) -> Result<Password, String> {
    text(|password| Ok::<_, Invalid>(Password::attempt(password)))
}

/// What the caller shows in addition to the access token.
pub(super) fn reauthentication(
    caller: &Identity,
    client: Option<ClientAddress>,
    password: Option<Password>,
) -> Reauthentication {
    Reauthentication { session: SessionId(caller.session), client: client.map(ClientAddress::ip), password }
}

/// Changes one's own password
///
/// The other sessions end.
#[utoipa::path(
    post, path = "/v1/users/me/password", operation_id = "changePassword", tag = "users", security(("bearer" = [])),
    request_body = schema::PasswordChange, responses((status = 204, description = "Changed.")),
    extensions(("x-problems" = json!(["account-closing", "account-disabled", "wrong-password", "rate-limited"]))),
)]
pub(super) async fn change(
    State(api): State<Api>,
    caller: Identity,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<StatusCode, Error> {
    let id = UserId(caller.user_id);
    api.app.may_change(id).await?;
    let (current, new) = payload.json().await?.read(|body| {
        let current = body.required("current_password", current_password());
        let new = body.required("new_password", text(Password::parse));
        Some((current?, new?))
    })?;
    api.app.change_password(id, reauthentication(&caller, client, Some(current)), new).await?;
    Ok(StatusCode::NO_CONTENT)
}
