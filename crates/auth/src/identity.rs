//! The person behind a request.

use axum::extract::{FromRef, FromRequestParts};
use error::{Error, Kind};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{Role, Verifier};

/// The person whose access token came with the request.
///
/// As an argument of a handler it refuses requests without a good token (401); the router's state has to hold a
/// [`Verifier`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user_id: Uuid,
    /// What the user may do.
    pub role: Role,
    /// The session: the family of refresh tokens.
    pub session: Uuid,
    /// When the token ends.
    pub expires_at: OffsetDateTime,
}

impl Identity {
    /// Says whether the person runs the shop.
    pub fn is_operator(&self) -> bool {
        self.role == Role::Operator
    }
}

/// A person who runs the shop; as an argument of a handler it refuses all others (403).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator(pub Identity);

impl<S> FromRequestParts<S> for Identity
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let token =
            bearer(&parts.headers).ok_or_else(|| Error::new(Kind::Unauthenticated, "a bearer token is needed"))?;
        Verifier::from_ref(state).verify(token).await
    }
}

impl<S> FromRequestParts<S> for Operator
where
    Verifier: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Error> {
        let identity = Identity::from_request_parts(parts, state).await?;
        if identity.is_operator() {
            Ok(Self(identity))
        } else {
            Err(Error::new(Kind::Forbidden, "only an operator may do this"))
        }
    }
}

/// Returns the bearer token of the request (RFC 6750); more than one `Authorization` header is none.
///
/// For gRPC pass `request.metadata().as_ref()`.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return None;
    };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let token = token.trim_matches(' ');
    let good = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
    good.then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (AUTHORIZATION, http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn a_bearer_token_is_found_and_nothing_else() {
        assert_eq!(bearer(&of(&["Bearer a.b.c"])), Some("a.b.c"));
        assert_eq!(bearer(&of(&["bearer  a.b.c"])), Some("a.b.c"));
        for none in ["Basic a", "Bearer", "Bearer ", "Bearer a b", "a.b.c", ""] {
            assert_eq!(bearer(&of(&[none])), None, "{none}");
        }
        assert_eq!(bearer(&of(&["Bearer a", "Bearer b"])), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
