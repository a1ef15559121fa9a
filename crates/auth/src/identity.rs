//! The person behind a request.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Role;

/// The person whose access token came with the request.
///
/// As an argument of a handler it refuses requests without a good token (401); the router's state has to hold a
/// [`Verifier`](crate::Verifier).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user. Of somebody whose token is of an issuer outside, an id of their own that stays the same.
    pub user_id: Uuid,
    /// What the user may do.
    pub role: Role,
    /// The session: the family of refresh tokens; nil where an issuer outside names none.
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
