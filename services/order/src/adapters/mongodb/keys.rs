//! Idempotency keys of the commands on products: each is kept in the document of the product that it changed.

use aws_lc_rs::digest::{SHA256, digest};
use clock::micros;
use mongodb::bson::{Binary, Document, doc};
use serde::Deserialize;
use time::OffsetDateTime;

use super::documents::{ProductDocument, binary};
use crate::app::ports::{Key, Keyed, StoreError};

/// How long a key is remembered: more than the day that is promised.
const REMEMBERED: std::time::Duration = std::time::Duration::from_hours(48);

/// A product with the keys of its commands.
#[derive(Deserialize)]
pub(super) struct WithKeys {
    #[serde(flatten)]
    pub(super) product: ProductDocument,
    /// Of its creation.
    created_by: Option<Used>,
    /// Of its deliveries.
    #[serde(default)]
    keys: Vec<Used>,
}

/// A key that was used.
#[derive(Deserialize)]
struct Used {
    key: Binary,
    digest: Binary,
    at: i64,
}

impl WithKeys {
    /// What the key was used for, if it was.
    pub(super) fn recall(self, key: &Key) -> Result<Option<Keyed>, StoreError> {
        let name = name(key);
        let Some(used) = self.created_by.iter().chain(&self.keys).find(|used| used.key == name) else {
            return Ok(None);
        };
        if used.digest.bytes != key.digest {
            return Ok(Some(Keyed::OtherBody));
        }
        Ok(Some(Keyed::Replayed(Box::new(self.product.product()?))))
    }

    /// Whether there are keys that need not be remembered any longer.
    pub(super) fn has_older_than(&self, time: i64) -> bool {
        self.keys.iter().any(|used| used.at < time)
    }
}

/// An entry of the field `keys`, or the field `created_by`.
pub(super) fn entry(key: &Key) -> Document {
    doc! { "key": name(key), "digest": binary(&key.digest), "at": micros(key.at) }
}

/// Whose key it is, for which command, in 32 bytes: SHA-256(user id ‖ command ‖ 0 ‖ key).
pub(super) fn name(key: &Key) -> Binary {
    let bytes = [key.user.0.as_bytes(), key.command.as_bytes(), &[0], key.key.as_bytes()].concat();
    binary(digest(&SHA256, &bytes).as_ref())
}

/// Before when a key is old.
pub(super) fn forgotten_before(now: OffsetDateTime) -> i64 {
    micros(now - REMEMBERED)
}
