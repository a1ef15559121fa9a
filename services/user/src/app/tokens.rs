//! What an access token says. Nothing in it is personal.

use std::time::Duration;

use auth::{AUDIENCE, Claims, ISSUER};
use time::OffsetDateTime;
use uuid::Uuid;

use super::ports::Session;
use crate::domain::Role;

/// The tokens that a login or a refresh gives. Its `Debug` shows no token.
pub struct TokenPair {
    /// A signed JWT.
    pub access_token: String,
    /// How long it lives.
    pub expires_in: Duration,
    /// Valid for one refresh.
    pub refresh_token: String,
}

impl std::fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPair").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// The claims of an access token that is made `now` and lives for `lifetime`.
pub fn claims(session: &Session, now: OffsetDateTime, lifetime: Duration) -> Claims {
    Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: session.user.0,
        sid: session.id.0,
        iat: now.unix_timestamp(),
        exp: (now + super::time_duration(lifetime)).unix_timestamp(),
        jti: Uuid::now_v7(),
        role: match session.role {
            Role::Customer => auth::Role::Customer,
            Role::Operator => auth::Role::Operator,
        },
    }
}
