//! The token cache: which payment tokens the provider is known to know.

use aws_lc_rs::digest::{SHA256, digest};
use cache::{Cache, Policy};

use super::ports::{PaymentError, Payments};
use crate::domain::values::PaymentToken;

/// Tokens that the provider knew. They are kept by their SHA-256 only.
pub struct TokenCache(Cache<String, bool>);

impl TokenCache {
    /// How they are cached.
    pub fn policy() -> Policy {
        Policy { secret_keys: true, ..Policy::default() }
    }

    /// Caches in `cache`, which should have [`TokenCache::policy`].
    pub fn new(cache: Cache<String, bool>) -> Self {
        Self(cache)
    }

    /// Whether the provider is known to know the token.
    pub async fn has(&self, token: &PaymentToken) -> bool {
        self.0.get(&key(token)).await == Some(true)
    }

    /// Whether the provider knows the token, which it is asked. Only a yes is cached: a token that is unknown now may be
    /// known later.
    ///
    /// # Errors
    /// Payment did not answer.
    pub async fn ask(&self, payments: &dyn Payments, token: &PaymentToken) -> Result<bool, PaymentError> {
        let known = payments.knows_token(token).await?;
        if known {
            self.0.put(&key(token), Some(&true), 1).await;
        }
        Ok(known)
    }
}

fn key(token: &PaymentToken) -> String {
    hex::encode(digest(&SHA256, token.expose().as_bytes()))
}
