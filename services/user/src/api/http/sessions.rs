//! `/v1/sessions`, and `/v1/users/me/sessions`.

use auth::Identity;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, Uri, header::CACHE_CONTROL},
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::{ClientAddress, Id, Params, Payload},
    json::text,
    openapi::Paged,
};
use error::Error;
use serde::Serialize;

use super::{cursor::position, password::current_password, schema};
use crate::{
    api::Api,
    app::{TokenPair, ports::OpenSession},
    domain::{Email, Invalid, SessionId, UserId},
};

#[derive(Serialize)]
struct View<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: &'a str,
}

fn response(tokens: &TokenPair) -> Response {
    let view = View {
        access_token: &tokens.access_token,
        token_type: "Bearer",
        expires_in: tokens.expires_in.as_secs(),
        refresh_token: &tokens.refresh_token,
    };
    ([(CACHE_CONTROL, "no-store")], Json(view)).into_response()
}

/// Logs in
#[utoipa::path(
    post, path = "/v1/sessions", operation_id = "logIn", tag = "sessions", request_body = schema::Credentials,
    responses((status = 200, description = "Logged in.", body = schema::Tokens)),
    extensions(("x-problems" = json!(["wrong-credentials", "rate-limited"]))),
)]
pub(super) async fn log_in(
    State(api): State<Api>,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<Response, Error> {
    // Any text will do, because it is only compared: an address that nobody can have is an unknown one.
    let (email, password) = payload.json().await?.read(|login| {
        let email = login.required("email", text(|address| Ok::<_, Invalid>(Email::parse(address).ok())));
        let password = login.required("password", current_password());
        Some((email?, password?))
    })?;
    Ok(response(&api.app.log_in(email, password, client.map(ClientAddress::ip)).await?))
}

/// Goes on with a session
///
/// A second use within 10 s, while the successor has not been used itself, gets the same successor; any other second use
/// ends the session.
#[utoipa::path(
    post, path = "/v1/sessions/refresh", operation_id = "refresh", tag = "sessions", request_body = schema::RefreshToken,
    responses((status = 200, description = "New tokens.", body = schema::Tokens)),
    extensions(("x-problems" = json!(["refresh-token-invalid"]))),
)]
pub(super) async fn refresh(State(api): State<Api>, payload: Payload) -> Result<Response, Error> {
    let token = payload
        .json()
        .await?
        .read(|body| body.required("refresh_token", text(|token| Ok::<_, Invalid>(token.to_owned()))))?;
    Ok(response(&api.app.refresh(&token).await?))
}

/// Logs out
///
/// Access tokens live out their minutes.
#[utoipa::path(
    delete, path = "/v1/sessions/current", operation_id = "logOut", tag = "sessions", security(("bearer" = [])),
    responses((status = 204, description = "Logged out.")),
    extensions(("x-problems" = json!(["account-closing", "account-disabled"]))),
)]
pub(super) async fn log_out(State(api): State<Api>, caller: Identity) -> Result<StatusCode, Error> {
    api.app.log_out(UserId(caller.user_id), SessionId(caller.session)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// A session as its owner sees it.
#[derive(Serialize)]
struct SessionView {
    id: String,
    created_at: String,
    last_used_at: String,
    expires_at: String,
    /// Whether the request's token belongs to it.
    current: bool,
}

/// Lists one's own sessions
#[utoipa::path(
    get, path = "/v1/users/me/sessions", operation_id = "listSessions", tag = "sessions", security(("bearer" = [])),
    params(Paged), responses((status = 200, description = "A page.", body = schema::SessionPage)),
)]
pub(super) async fn list(State(api): State<Api>, caller: Identity, uri: Uri) -> Result<Response, Error> {
    let mut params = Params::of(&uri);
    let page = params.page();
    params.finish()?;
    let after = page.cursor.as_deref().map(position).transpose()?.map(SessionId);
    // One more than the page holds says whether there is a next one.
    let sessions = api.app.list_sessions(UserId(caller.user_id), after, page.limit + 1).await?;
    let view = |session: OpenSession| SessionView {
        id: session.id.to_string(),
        created_at: clock::rfc3339(session.created_at),
        last_used_at: clock::rfc3339(session.last_used_at),
        expires_at: clock::rfc3339(session.expires_at),
        current: session.id.0 == caller.session,
    };
    Ok(chassis::http::list(&page, sessions, view, |session| session.id.to_string()))
}

/// Ends one of one's own sessions
#[utoipa::path(
    delete, path = "/v1/users/me/sessions/{id}", operation_id = "revokeSession", tag = "sessions", security(("bearer" = [])),
    params(Id::<SessionId>), responses((status = 204, description = "Ended.")),
    extensions(("x-problems" = json!(["account-closing", "account-disabled"]))),
)]
pub(super) async fn revoke(
    State(api): State<Api>,
    caller: Identity,
    Id(id): Id<SessionId>,
) -> Result<StatusCode, Error> {
    api.app.revoke_session(UserId(caller.user_id), id).await?;
    Ok(StatusCode::NO_CONTENT)
}
