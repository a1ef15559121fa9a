//! Passwords and what is kept of them.

use std::fmt;

use super::{Invalid, common_passwords::is_common};

/// Longest password that anybody can have, in characters.
pub const MAX: usize = 128;
const MIN: usize = 8;

/// A password in the clear, on its way to being hashed. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(String);

impl Password {
    /// Parses a new password. White space counts: it is not trimmed.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        if !(MIN..=MAX).contains(&text.chars().count()) {
            return Err(Invalid("must be 8 to 128 characters"));
        }
        if text.chars().any(char::is_control) {
            return Err(Invalid("must not contain control characters"));
        }
        if is_common(text) {
            return Err(Invalid("is one of the most common passwords"));
        }
        Ok(Self(text.to_owned()))
    }

    /// Takes a password that is only verified: nobody learns the rules for new ones from a login.
    /// What is longer than any password can be is cut, so that it costs no more than the others, to something that matches none.
    pub fn attempt(text: &str) -> Self {
        if text.chars().count() <= MAX {
            return Self(text.to_owned());
        }
        Self(text.chars().take(MAX + 1).collect())
    }

    /// The password itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A salted hash of a password, with its parameters (a PHC string). Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Takes a PHC string.
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_8_to_128_characters_long() {
        assert!(Password::parse("1234567").is_err());
        assert!(Password::parse("1234567b").is_ok());
        assert!(Password::parse(&"ü".repeat(128)).is_ok());
        assert!(Password::parse(&"ü".repeat(129)).is_err());
        assert!(Password::parse("pass\u{7}word").is_err());
    }

    #[test]
    fn is_none_that_everybody_guesses() {
        assert!(Password::parse("Password1").is_err());
        assert_eq!(Password::attempt("Password1").expose(), "Password1", "who has one already may log in");
    }

    #[test]
    fn an_attempt_is_never_longer_than_129_characters() {
        assert_eq!(Password::attempt("x").expose(), "x");
        assert_eq!(Password::attempt(&"x".repeat(100_000)).expose().len(), 129);
    }
}
