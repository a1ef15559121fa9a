//! `/v1/users`.

use auth::Identity;
use axum::{
    extract::State,
    http::{StatusCode, header::LOCATION},
    response::{IntoResponse as _, Response},
};
use chassis::{
    http::{ClientAddress, Id, IfMatch, Payload, resource},
    json::text,
    openapi::Conditional,
};
use error::Error;
use serde::Serialize;

use super::{
    password::{current_password, reauthentication},
    schema,
};
use crate::{
    api::Api,
    app::{self, Expected, Requester},
    domain::{Account, Change, Email, Name, Password, UserId},
};

/// A user as others see it.
#[derive(Serialize)]
struct View<'a> {
    id: String,
    email: Option<&'a str>,
    name: Option<&'a str>,
    status: &'static str,
    orders_placed: u64,
    version: u64,
    created_at: String,
    updated_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    disabled_at: Option<String>,
}

pub(super) fn response(status: StatusCode, account: &Account) -> Response {
    let view = View {
        id: account.id.to_string(),
        email: account.email.as_ref().map(Email::as_str),
        name: account.name.as_ref().map(Name::as_str),
        status: account.status.as_str(),
        orders_placed: account.orders_placed,
        version: account.version,
        created_at: clock::rfc3339(account.created_at),
        updated_at: clock::rfc3339(account.updated_at),
        disabled_at: account.disabled_at.map(clock::rfc3339),
    };
    resource(status, account.version, &view)
}

/// Opens an account
#[utoipa::path(
    post, path = "/v1/users", operation_id = "register", tag = "users", request_body = schema::NewUser,
    responses((status = 201, description = "Opened.", body = schema::User,
        headers(("Location" = String, description = "Where it is.")))),
    extensions(("x-problems" = json!(["email-taken"]))),
)]
pub(super) async fn register(
    State(api): State<Api>,
    client: Option<ClientAddress>,
    payload: Payload,
) -> Result<Response, Error> {
    let (email, name, password) = payload.json().await?.read(|user| {
        let email = user.required("email", text(Email::parse));
        let name = user.required("name", text(Name::parse));
        let password = user.required("password", text(Password::parse));
        Some((email?, name?, password?))
    })?;
    let account = api.app.register(email, name, password, client.map(ClientAddress::ip)).await?;
    let location = format!("/v1/users/{}", account.id);
    Ok(([(LOCATION, location)], response(StatusCode::CREATED, &account)).into_response())
}

/// Reads one's own account
#[utoipa::path(
    get, path = "/v1/users/me", operation_id = "getMe", tag = "users", security(("bearer" = [])),
    responses((status = 200, description = "The account.", body = schema::User)),
)]
pub(super) async fn me(State(api): State<Api>, caller: Identity) -> Result<Response, Error> {
    let account = api.app.own_account(UserId(caller.user_id)).await?;
    Ok(response(StatusCode::OK, &account))
}

/// Reads an account
///
/// One's own; an operator any.
#[utoipa::path(
    get, path = "/v1/users/{id}", operation_id = "getUser", tag = "users", security(("bearer" = [])),
    params(Id::<UserId>), responses((status = 200, description = "The account.", body = schema::User)),
    extensions(("x-problems" = json!(["account-closing", "account-disabled"]))),
)]
pub(super) async fn by_id(State(api): State<Api>, caller: Identity, Id(id): Id<UserId>) -> Result<Response, Error> {
    if caller.user_id != id.0 {
        if !caller.is_operator() {
            return Err(app::Error::NotFound.into());
        }
        api.app.may_change(UserId(caller.user_id)).await?;
    }
    let account = api.app.get_user(id).await?;
    Ok(response(StatusCode::OK, &account))
}

/// Changes one's own account
///
/// What is left out stays. A change of the e-mail address needs the current password and ends the other sessions.
#[utoipa::path(
    patch, path = "/v1/users/me", operation_id = "changeMe", tag = "users", security(("bearer" = [])),
    params(IfMatch), request_body = schema::UserChange,
    responses((status = 200, description = "The account as it is now.", body = schema::User)),
    extensions(("x-problems" = json!([
        "email-taken", "account-closing", "account-disabled", "password-required", "wrong-password", "rate-limited"
    ]))),
)]
pub(super) async fn update(
    State(api): State<Api>,
    caller: Identity,
    client: Option<ClientAddress>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, Error> {
    let id = UserId(caller.user_id);
    // Before the header and the body are read: the refusals' order is part of the interface.
    api.app.may_change(id).await?;
    let condition = if_match.required()?;
    let (change, password) = payload.json().await?.read(|user| {
        let name = user.optional("name", text(Name::parse));
        let email = user.optional("email", text(Email::parse));
        let password = user.optional("current_password", current_password());
        Some((Change { name: name?, email: email? }, password?))
    })?;
    let expected = Expected::matching(move |version| condition.matches(version));
    let account = api.app.update_user(id, change, expected, owner(&caller, client, password)).await?;
    Ok(response(StatusCode::OK, &account))
}

/// Closes one's own account
///
/// Open orders are cancelled, then e-mail address and name are erased. Repeated it is the same.
#[utoipa::path(
    delete, path = "/v1/users/me", operation_id = "closeMe", tag = "users", security(("bearer" = [])),
    params(Conditional), request_body = schema::CurrentPassword,
    responses((status = 202, description = "`closing`, later `closed`.", body = schema::User)),
    extensions(("x-problems" = json!(["account-disabled", "password-required", "wrong-password", "rate-limited"]))),
)]
pub(super) async fn close(
    State(api): State<Api>,
    caller: Identity,
    client: Option<ClientAddress>,
    if_match: IfMatch,
    payload: Payload,
) -> Result<Response, Error> {
    let expected = match if_match.optional()? {
        Some(condition) => Expected::matching(move |version| condition.matches(version)),
        None => Expected::any(),
    };
    let password = match payload.optional_json().await? {
        Some(body) => body.read(|user| user.optional("current_password", current_password()))?,
        None => None,
    };
    let requester = owner(&caller, client, password);
    let account = api.app.close_account(UserId(caller.user_id), expected, requester).await?;
    Ok(response(StatusCode::ACCEPTED, &account))
}

fn owner(caller: &Identity, client: Option<ClientAddress>, password: Option<Password>) -> Requester {
    Requester::Owner(reauthentication(caller, client, password))
}
