//! Refresh tokens: what the owner has, and what is stored of it.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Error, ports::TokenHash};

/// Random bytes in a token.
const LEN: usize = 32;

/// A refresh token in the clear, on its way to its owner. Its `Debug` does not show it.
pub struct RefreshToken {
    text: String,
    hash: TokenHash,
}

impl RefreshToken {
    /// Makes a new one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        let mut bytes = [0_u8; LEN];
        getrandom::fill(&mut bytes).map_err(|_| Error::internal("no randomness"))?;
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let hash = hash(&text);
        Ok(Self { text, hash })
    }

    /// What is stored.
    pub fn hash(&self) -> &TokenHash {
        &self.hash
    }

    /// What the owner gets.
    pub fn into_text(self) -> String {
        self.text
    }
}

impl std::fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RefreshToken(…)")
    }
}

/// The SHA-256 of a token's text: with 256 random bits it cannot be guessed, so nothing slower is needed.
pub fn hash(text: &str) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_stored_as_hashes() {
        let (one, two) = (RefreshToken::generate().unwrap(), RefreshToken::generate().unwrap());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(format!("{one:?}"), "RefreshToken(…)");
        let stored = *one.hash();
        let text = one.into_text();
        assert_eq!((text.len(), hash(&text)), (43, stored));
    }
}
