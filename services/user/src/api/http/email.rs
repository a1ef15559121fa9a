//! `/v1/users/me/email-verification`, `/v1/email-verifications` and `/v1/password-resets`: what is done by mail.

use auth::Identity;
use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::{ClientAddress, Payload},
    json::{Node, text},
};
use error::Error;
use serde::Serialize;

use super::schema;
use crate::{
    api::Api,
    domain::{Email, Invalid, Password, UserId},
};

#[derive(Serialize)]
struct View<'a> {
    email: Option<&'a str>,
    verified_at: Option<String>,
}

/// Reads whether one's own address is verified
#[utoipa::path(
    get, path = "/v1/users/me/email-verification", operation_id = "getEmailVerification", tag = "mail",
    security(("bearer" = [])),
    responses((status = 200, description = "The address.", body = schema::EmailVerification)),
)]
pub(super) async fn verification(State(api): State<Api>, caller: Identity) -> Result<Response, Error> {
    let (email, verified_at) = api.app.verification(UserId(caller.user_id)).await?;
    let view = View { email: email.as_ref().map(Email::as_str), verified_at: verified_at.map(clock::rfc3339) };
    Ok(Json(view).into_response())
}

/// Asks for a mail with a token that verifies one's own address
#[utoipa::path(
    post, path = "/v1/users/me/email-verification", operation_id = "requestEmailVerification", tag = "mail",
    security(("bearer" = [])), responses((status = 202, description = "A mail will be sent.")),
    extensions(("x-problems" = json!(["account-closing", "account-disabled", "rate-limited"]))),
)]
pub(super) async fn request_verification(
    State(api): State<Api>,
    caller: Identity,
    client: Option<ClientAddress>,
) -> Result<StatusCode, Error> {
    api.app.request_verification(UserId(caller.user_id), client.map(ClientAddress::ip)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Verifies an address by the token of a mail
#[utoipa::path(
    post, path = "/v1/email-verifications", operation_id = "verifyEmail", tag = "mail",
    request_body = schema::MailToken, responses((status = 204, description = "Verified.")),
    extensions(("x-problems" = json!(["mail-token-invalid"]))),
)]
pub(super) async fn verify(State(api): State<Api>, payload: Payload) -> Result<StatusCode, Error> {
    let token = payload.json().await?.read(|body| body.required("token", token()))?;
    api.app.verify_email(&token).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Asks for a mail with a token that resets a password
///
/// The answer is the same whether or not somebody has the address.
#[utoipa::path(
    post, path = "/v1/password-resets", operation_id = "requestPasswordReset", tag = "mail",
    request_body = schema::MailAddress, responses((status = 202, description = "If there is an account, it gets a mail.")),
    extensions(("x-problems" = json!(["rate-limited"]))),
)]
pub(super) async fn request_reset(
    State(api): State<Api>,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<StatusCode, Error> {
    // Any text will do: an address that nobody can have is an unknown one.
    let email = text(|address| Ok::<_, Invalid>(Email::parse(address).ok()));
    let email = payload.json().await?.read(|body| body.required("email", email))?;
    api.app.request_password_reset(email, client.map(ClientAddress::ip)).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Sets another password by the token of a mail
///
/// All sessions of the account end.
#[utoipa::path(
    post, path = "/v1/password-resets/complete", operation_id = "resetPassword", tag = "mail",
    request_body = schema::PasswordReset, responses((status = 204, description = "The account has the new password.")),
    extensions(("x-problems" = json!(["mail-token-invalid"]))),
)]
pub(super) async fn reset(
    State(api): State<Api>,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<StatusCode, Error> {
    let (token, new) = payload.json().await?.read(|body| {
        let token = body.required("token", token());
        let new = body.required("new_password", text(Password::parse));
        Some((token?, new?))
    })?;
    api.app.reset_password(&token, new, client.map(ClientAddress::ip)).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn token() -> impl FnOnce(&Node) -> Result<String, String> {
    text(|token| Ok::<_, Invalid>(token.to_owned()))
}
