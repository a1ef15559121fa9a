//! `/v1/sessions`.

use auth::Identity;
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header::CACHE_CONTROL},
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::{ClientAddress, Payload},
    json::text,
};
use error::Error;
use serde::Serialize;

use crate::{
    api::Api,
    app::TokenPair,
    domain::{Email, Invalid, Password, SessionId, UserId},
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

/// `POST /v1/sessions`
pub(super) async fn log_in(
    State(api): State<Api>,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<Response, Error> {
    // Any text will do, because it is only compared: an address that nobody can have is an unknown one.
    let (email, password) = payload.json().await?.read(|login| {
        let email = login.required("email", text(|address| Ok::<_, Invalid>(Email::parse(address).ok())));
        let password = login.required("password", text(|password| Ok::<_, Invalid>(Password::attempt(password))));
        Some((email?, password?))
    })?;
    Ok(response(&api.app.log_in(email, password, client.map(ClientAddress::ip)).await?))
}

/// `POST /v1/sessions/refresh`
pub(super) async fn refresh(State(api): State<Api>, payload: Payload) -> Result<Response, Error> {
    let token = payload
        .json()
        .await?
        .read(|body| body.required("refresh_token", text(|token| Ok::<_, Invalid>(token.to_owned()))))?;
    Ok(response(&api.app.refresh(&token).await?))
}

/// `DELETE /v1/sessions/current`
pub(super) async fn log_out(State(api): State<Api>, caller: Identity) -> Result<StatusCode, Error> {
    api.app.log_out(UserId(caller.user_id), SessionId(caller.session)).await?;
    Ok(StatusCode::NO_CONTENT)
}
