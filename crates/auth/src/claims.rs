//! What an access token says.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The issuer of access tokens.
pub const ISSUER: &str = "trireme-user";
/// Whom access tokens are for.
pub const AUDIENCE: &str = "trireme";

/// What a person may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Buys things, sees what is theirs.
    Customer,
    /// Runs the shop, sees everything.
    Operator,
}

impl Role {
    /// Returns the word that tokens and stores use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Operator => "operator",
        }
    }

    /// Reads the word that tokens and stores use.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Customer, Self::Operator].into_iter().find(|role| role.as_str() == word)
    }
}

/// The claims of an access token; no personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The issuer, [`ISSUER`].
    pub iss: String,
    /// Whom it is for, [`AUDIENCE`].
    pub aud: String,
    /// The user.
    pub sub: Uuid,
    /// The session: the family of refresh tokens.
    pub sid: Uuid,
    /// When it was issued, in seconds since 1970.
    pub iat: i64,
    /// When it ends, in seconds since 1970.
    pub exp: i64,
    /// The token's own id.
    pub jti: Uuid,
    /// What the user may do.
    pub role: Role,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roles_word_is_the_same_everywhere() {
        for role in [Role::Customer, Role::Operator] {
            assert_eq!(Role::parse(role.as_str()), Some(role));
            assert_eq!(serde_json::to_value(role).unwrap(), serde_json::json!(role.as_str()));
        }
        assert_eq!(Role::parse("admin"), None);
    }
}
