//! Tokens that say nothing by themselves, of sessions and in mails: what their owner has, and what is stored of it.

use aws_lc_rs::{digest, hmac};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{
    Error,
    ports::{Seed, TokenHash},
};

/// A token in the clear, on its way to its owner. Its `Debug` does not show it.
pub struct OpaqueToken {
    text: String,
    hash: TokenHash,
}

impl OpaqueToken {
    /// Makes one.
    ///
    /// # Errors
    /// The system has no randomness.
    pub fn generate() -> Result<Self, Error> {
        Ok(Self::of(&random()?))
    }

    /// The refresh token that follows `token`: HMAC-SHA-256 of the seed under the token.
    ///
    /// It can be given twice without being stored. Neither half is enough for it: the store has the seed and only the hash of
    /// the token, and whoever has stolen a token that was used has no seed.
    pub fn successor(token: &str, seed: &Seed) -> Self {
        let key = hmac::Key::new(hmac::HMAC_SHA256, token.as_bytes());
        Self::of(hmac::sign(&key, seed).as_ref())
    }

    fn of(bytes: &[u8]) -> Self {
        let text = URL_SAFE_NO_PAD.encode(bytes);
        let hash = hash(&text);
        Self { text, hash }
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

impl std::fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OpaqueToken(…)")
    }
}

/// A seed for one successor.
///
/// # Errors
/// The system has no randomness.
pub fn seed() -> Result<Seed, Error> {
    random()
}

/// The SHA-256 of a token's text: with 256 random bits it cannot be guessed, so nothing slower is needed.
pub fn hash(text: &str) -> TokenHash {
    let mut hash = TokenHash::default();
    hash.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    hash
}

fn random() -> Result<[u8; 32], Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|_| Error::internal("no randomness"))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_are_stored_as_hashes() {
        let (one, two) = (OpaqueToken::generate().unwrap(), OpaqueToken::generate().unwrap());
        assert_ne!(one.hash(), two.hash());
        assert_eq!(format!("{one:?}"), "OpaqueToken(…)");
        let stored = *one.hash();
        let text = one.into_text();
        assert_eq!((text.len(), hash(&text)), (43, stored));
    }

    #[test]
    fn a_successor_follows_from_token_and_seed_and_from_nothing_less() {
        let token = OpaqueToken::generate().unwrap().into_text();
        let successor = |token: &str, seed: Seed| OpaqueToken::successor(token, &seed).into_text();
        assert_eq!(successor(&token, [1; 32]), successor(&token, [1; 32]));
        assert_ne!(successor(&token, [1; 32]), successor(&token, [2; 32]));
        assert_ne!(successor(&token, [1; 32]), successor("another", [1; 32]));
        assert_eq!(successor(&token, [1; 32]).len(), 43);
    }
}
