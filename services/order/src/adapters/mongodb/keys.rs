//! Idempotency keys of the commands on products: each is kept in the document of the product that it changed.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use clock::micros;
use mongodb::bson::{Binary, Document, doc};
use serde::Deserialize;
use time::OffsetDateTime;

use super::documents::{ProductDocument, binary};
use crate::app::ports::{CommandKey, Idempotent, StoreError};

/// How long a key is kept: longer than the day that is promised.
const RETENTION: Duration = Duration::from_hours(48);
/// Keys of restocks that a product keeps, about 250 KiB of the 16 MiB that a document may have. After more of them in a
/// day, one that is repeated after so many others counts again.
const MAX_KEYS: i32 = 2_000;

/// A product with the keys of its commands.
#[derive(Deserialize)]
pub(super) struct ProductWithKeys {
    #[serde(flatten)]
    pub(super) product: ProductDocument,
    /// The key of its creation.
    created_by: Option<UsedKey>,
    /// The keys of its restocks.
    #[serde(default)]
    keys: Vec<UsedKey>,
}

/// A key that was used.
#[derive(Deserialize)]
struct UsedKey {
    key: Binary,
    digest: Binary,
    at: i64,
}

impl ProductWithKeys {
    /// The outcome of a command whose key was used before; `None` where it was not.
    pub(super) fn replay(self, key: &CommandKey) -> Result<Option<Idempotent>, StoreError> {
        let stored = stored_key(key);
        let Some(used) = self.created_by.iter().chain(&self.keys).find(|used| used.key == stored) else {
            return Ok(None);
        };
        if used.digest.bytes != key.digest {
            return Ok(Some(Idempotent::KeyReused));
        }
        Ok(Some(Idempotent::Replayed(Box::new(self.product.product()?))))
    }

    /// Whether there are keys from before that time, in microseconds.
    pub(super) fn has_keys_before(&self, time: i64) -> bool {
        self.keys.iter().any(|used| used.at < time)
    }
}

/// Adds a key to the field `keys`, and drops the oldest where there are too many.
pub(super) fn push(key: &CommandKey) -> Document {
    doc! { "keys": { "$each": [entry(key)], "$slice": -MAX_KEYS } }
}

/// An entry of the field `keys`, or the field `created_by`.
pub(super) fn entry(key: &CommandKey) -> Document {
    doc! { "key": stored_key(key), "digest": binary(&key.digest), "at": micros(key.at) }
}

/// User, command and key in 32 bytes: SHA-256(user id ‖ command ‖ 0 ‖ key).
pub(super) fn stored_key(key: &CommandKey) -> Binary {
    let bytes = [key.user.0.as_bytes(), key.command.as_bytes(), &[0], key.key.as_bytes()].concat();
    binary(digest(&SHA256, &bytes).as_ref())
}

/// The time, in microseconds, before which keys are no longer kept.
pub(super) fn expired_before(now: OffsetDateTime) -> i64 {
    micros(now - RETENTION)
}
