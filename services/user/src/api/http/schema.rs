//! What requests and answers look like, for the description: the handlers read and write the same.

#![expect(dead_code, reason = "only their shape is used")]

use utoipa::ToSchema;

/// An account to be opened.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.org", "name": "Ada", "password": "correct horse battery" }))]
pub(super) struct NewUser {
    #[schema(max_length = 254, pattern = r"^[^@\u0000-\u001f\u007f-\u009f]+@[^@\u0000-\u001f\u007f-\u009f]+$")]
    email: String,
    /// 1 to 100 characters after trimming, one of which can be seen; no control characters, and none that reorder others.
    #[schema(
        pattern = r"^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]([^\u0000-\u001f\u007f-\u009f]{0,98}[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
    )]
    name: String,
    /// Not one of the most common ones.
    #[schema(min_length = 8, max_length = 128)]
    password: String,
}

/// What somebody logs in with.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.org", "password": "correct horse battery" }))]
pub(super) struct Credentials {
    email: String,
    password: String,
}

/// What a session goes on with.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "refresh_token": "c29tZXRoaW5nIHRoYXQgaXMgbm90IGEgdG9rZW4" }))]
pub(super) struct RefreshToken {
    refresh_token: String,
}

/// A session's tokens.
#[derive(ToSchema)]
#[schema(example = json!({
    "access_token": "eyJhbGciOiJFZERTQSJ9.e30.c2lnbmF0dXJl", "token_type": "Bearer", "expires_in": 600,
    "refresh_token": "c29tZXRoaW5nIHRoYXQgaXMgbm90IGEgdG9rZW4"
}))]
pub(super) struct Tokens {
    access_token: String,
    #[schema(pattern = "^Bearer$")]
    token_type: String,
    /// Seconds.
    #[schema(minimum = 1)]
    expires_in: u64,
    /// Good once: each refresh has a new one.
    refresh_token: String,
}

/// What is to change of an account; what is left out stays.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "name": "Ada Lovelace" }))]
pub(super) struct UserChange {
    /// 1 to 100 characters after trimming, one of which can be seen; no control characters, and none that reorder others.
    #[schema(
        nullable = false,
        pattern = r"^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]([^\u0000-\u001f\u007f-\u009f]{0,98}[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
    )]
    name: Option<String>,
    /// Needs the current password, and ends the other sessions.
    #[schema(
        nullable = false,
        max_length = 254,
        pattern = r"^[^@\u0000-\u001f\u007f-\u009f]+@[^@\u0000-\u001f\u007f-\u009f]+$"
    )]
    email: Option<String>,
    #[schema(nullable = false)]
    current_password: Option<String>,
}

/// A new password.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "correct horse battery", "new_password": "staple for the battery" }))]
pub(super) struct PasswordChange {
    current_password: String,
    /// Not one of the most common ones.
    #[schema(min_length = 8, max_length = 128)]
    new_password: String,
}

/// That it is the owner who asks.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "current_password": "correct horse battery" }))]
pub(super) struct CurrentPassword {
    #[schema(nullable = false)]
    current_password: Option<String>,
}

/// An account.
#[derive(ToSchema)]
#[schema(example = json!({
    "id": "0198c9a5-0a3c-7f10-b2de-6c1a9e5d3b42", "email": "ada@example.org", "name": "Ada", "status": "active",
    "orders_placed": 1, "version": 1, "created_at": "2026-11-28T09:30:00.123456Z",
    "updated_at": "2026-11-28T09:30:00.123456Z"
}))]
pub(super) struct User {
    #[schema(format = "uuid")]
    id: String,
    /// Null once the account is closed.
    #[schema(required = true)]
    email: Option<String>,
    /// Null once the account is closed.
    #[schema(required = true)]
    name: Option<String>,
    status: UserStatus,
    /// Orders that were ever confirmed; does not change the version.
    #[schema(minimum = 0)]
    orders_placed: u64,
    #[schema(minimum = 1)]
    version: u64,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    updated_at: String,
    /// Only of an account that an operator has disabled.
    #[schema(nullable = false, format = "date-time")]
    disabled_at: Option<String>,
}

/// What has become of an account.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum UserStatus {
    Active,
    Closing,
    Closed,
}

/// Somewhere somebody is logged in.
#[derive(ToSchema)]
pub(super) struct Session {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "date-time")]
    created_at: String,
    #[schema(format = "date-time")]
    last_used_at: String,
    #[schema(format = "date-time")]
    expires_at: String,
    /// Whether the request's token belongs to it.
    current: bool,
}

/// A page of sessions.
#[derive(ToSchema)]
#[schema(example = json!({ "items": [{
    "id": "0198c9a5-7c2e-7b19-a0f4-3d5e8b1c6f27", "created_at": "2026-11-28T09:30:00.123456Z",
    "last_used_at": "2026-11-28T09:40:00.123456Z", "expires_at": "2026-12-28T09:40:00.123456Z", "current": true
}], "next_cursor": null }))]
pub(super) struct SessionPage {
    items: Vec<Session>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The address of an account, and when it was verified.
#[derive(ToSchema)]
#[schema(example = json!({ "email": "ada@example.org", "verified_at": "2026-11-28T09:30:00.123456Z" }))]
pub(super) struct EmailVerification {
    /// Null once the account is closed.
    #[schema(required = true)]
    email: Option<String>,
    /// Null as long as nobody has shown that it is theirs.
    #[schema(required = true, format = "date-time")]
    verified_at: Option<String>,
}

/// A token from a mail.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "token": "c29tZXRoaW5nIHRoYXQgaXMgbm90IGEgdG9rZW4" }))]
pub(super) struct MailToken {
    token: String,
}

/// Whose password is forgotten.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "ada@example.org" }))]
pub(super) struct MailAddress {
    email: String,
}

/// Another password, for the token from a mail.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "token": "c29tZXRoaW5nIHRoYXQgaXMgbm90IGEgdG9rZW4", "new_password": "staple for the battery"
}))]
pub(super) struct PasswordReset {
    token: String,
    /// Not one of the most common ones.
    #[schema(min_length = 8, max_length = 128)]
    new_password: String,
}

/// Why an operator does it, for the log of operators.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "reason": "The owner reported a stolen phone." }))]
pub(super) struct OperatorReason {
    /// 1 to 500 characters after trimming, none of them a control character.
    #[schema(
        pattern = r"^[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]([^\u0000-\u001f\u007f-\u009f]{0,498}[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000])?[ \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]*$"
    )]
    reason: String,
}

/// What an operator did.
#[derive(ToSchema)]
pub(super) struct AuditEntry {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "date-time")]
    at: String,
    /// The operator's account; null for a command of the binary.
    #[schema(required = true, format = "uuid")]
    actor_id: Option<String>,
    action: String,
    /// To whose account.
    #[schema(required = true, format = "uuid")]
    user_id: Option<String>,
    /// Why, or which role.
    #[schema(required = true)]
    detail: Option<String>,
}

/// A page of what operators did.
#[derive(ToSchema)]
#[schema(example = json!({ "items": [{
    "id": "0198c9a5-7c2e-7b19-a0f4-3d5e8b1c6f27", "at": "2026-11-28T09:30:00.123456Z",
    "actor_id": "0198c9a5-0a3c-7f10-b2de-6c1a9e5d3b42", "action": "disable",
    "user_id": "0198c9a5-0f6e-7a21-9c3d-5e7f1a2b3c4d", "detail": "The owner reported a stolen phone."
}], "next_cursor": null }))]
pub(super) struct AuditPage {
    items: Vec<AuditEntry>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The public keys of access tokens (RFC 7517).
#[derive(ToSchema)]
#[schema(example = json!({ "keys": [{
    "kty": "OKP", "crv": "Ed25519", "kid": "2026-11", "alg": "EdDSA", "use": "sig",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
}] }))]
pub(super) struct KeySet {
    keys: Vec<PublicKey>,
}

/// A public key (RFC 8037).
#[derive(ToSchema)]
pub(super) struct PublicKey {
    kty: String,
    crv: String,
    kid: String,
    alg: String,
    r#use: String,
    x: String,
}

/// Sums over everything stored.
#[derive(ToSchema)]
#[schema(example = json!({ "users": 3, "closing": 0, "outbox": 0, "orders_placed": 4 }))]
pub(super) struct Audit {
    users: u64,
    closing: u64,
    outbox: u64,
    orders_placed: u64,
}

/// A page of accounts as they are stored.
#[derive(ToSchema)]
pub(super) struct AuditedAccounts {
    accounts: Vec<AuditedAccount>,
}

/// An account as it is stored.
#[derive(ToSchema)]
#[schema(example = json!({ "id": "0198c9a5-0f6e-7a21-9c3d-5e7f1a2b3c4d", "status": "active", "orders_placed": 4 }))]
pub(super) struct AuditedAccount {
    #[schema(format = "uuid")]
    id: String,
    status: String,
    /// Orders that were ever confirmed.
    orders_placed: i64,
}
