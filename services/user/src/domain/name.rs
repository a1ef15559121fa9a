//! What somebody wants to be called.

use std::fmt;

use icu_properties::{CodePointSetData, props::DefaultIgnorableCodePoint};

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
        if trimmed.chars().any(reorders) {
            return Err(Invalid("must not contain characters that reorder others"));
        }
        if !trimmed.chars().any(is_visible) {
            return Err(Invalid("must have a character that can be seen"));
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

/// Embeddings, overrides and isolates (UAX #9): what follows on the page, too, would be shown in another order. Languages that
/// are written from right to left do without them in a name.
fn reorders(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Neither white space, nor what Unicode has shown as nothing; nor the braille pattern without dots.
fn is_visible(c: char) -> bool {
    let shown_as_nothing = CodePointSetData::new::<DefaultIgnorableCodePoint>();
    !c.is_whitespace() && !shown_as_nothing.contains(c) && c != '\u{2800}'
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

    #[test]
    fn can_be_seen_and_reorders_nothing() {
        for nothing in ["\u{200b}", "\u{2060}\u{feff}", "\u{3164}", "\u{ad} \u{200d}", "\u{2800}", "\u{e0041}"] {
            assert!(Name::parse(nothing).is_err(), "{nothing:?}");
        }
        for reordering in ["Ada\u{202e}adA", "\u{202a}Ada", "\u{2067}Ada\u{2069}"] {
            assert!(Name::parse(reordering).is_err(), "{reordering:?}");
        }
        for good in ["محمد", "עדה", "👩\u{200d}🚀", "नर्म\u{200d}दा", "李"] {
            assert!(Name::parse(good).is_ok(), "{good:?}");
        }
    }
}
