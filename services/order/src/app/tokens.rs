//! Whether the provider knows a payment token, remembered for a while.

use aws_lc_rs::digest::{SHA256, digest};
use cache::Cache;

use super::ports::{PaymentError, Payments};
use crate::domain::values::PaymentToken;

/// Tokens that the provider knew. They are kept by their SHA-256 only.
pub struct Tokens {
    known: Cache<String, bool>,
}

impl Tokens {
    /// Remembers in `cache`.
    pub fn new(cache: Cache<String, bool>) -> Self {
        Self { known: cache }
    }

    /// Whether the provider knows the token. That it does is remembered; that
    /// it does not is not, because it may come to.
    pub async fn known(&self, payments: &dyn Payments, token: &PaymentToken) -> Result<bool, PaymentError> {
        let key = hex::encode(digest(&SHA256, token.expose().as_bytes()));
        if self.known.get(&key).await == Some(true) {
            return Ok(true);
        }
        let known = payments.knows_token(token).await?;
        if known {
            self.known.put(&key, Some(&true), 1).await;
        }
        Ok(known)
    }
}
