//! What somebody wants to be called.

use std::fmt;

use super::Invalid;

/// Longest name, in characters.
const MAX: usize = 100;

/// A name without white space around it. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Name(String);

impl Name {
    /// Parses a name, dropping white space around it.
    ///
    /// # Errors
    /// Says which rule the text breaks.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let trimmed = text.trim();
        if !(1..=MAX).contains(&trimmed.chars().count()) {
            return Err(Invalid("must be 1 to 100 characters after trimming"));
        }
        if trimmed.chars().any(char::is_control) {
            return Err(Invalid("must not contain control characters"));
        }
        Ok(Self(trimmed.to_owned()))
    }

    /// Takes a name that was parsed before it was stored.
    pub fn stored(text: String) -> Self {
        Self(text)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_trimmed_and_1_to_100_characters_long() {
        assert_eq!(Name::parse("  Ada  ").map(|n| n.as_str().to_owned()), Ok("Ada".to_owned()));
        assert!(Name::parse(&"ü".repeat(100)).is_ok());
        assert!(Name::parse(&format!(" {} ", "ü".repeat(100))).is_ok());
        assert!(Name::parse(&"ü".repeat(101)).is_err());
        assert!(Name::parse("").is_err());
        assert!(Name::parse(" \u{3000} ").is_err());
        assert!(Name::parse("a\u{7}b").is_err());
    }
}
