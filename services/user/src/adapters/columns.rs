//! What the tables of both databases have in common.

use crate::{app::ports::Seed, domain::Invalid};

/// The columns of an account, in the order in which each adapter's `account` reads them.
macro_rules! account_columns {
    () => {
        "id, email, name, status, orders_placed, version, revision, created_at, updated_at, disabled_at"
    };
}
pub(super) use account_columns;

/// A stored value that the domain does not know.
pub(super) fn decode_error(error: Invalid) -> sqlx::Error {
    sqlx::Error::Decode(error.into())
}

/// A number as SQL keeps it. Ours count things that happened: they do not reach the limit.
pub(super) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a refresh token's successor was made from.
pub(super) fn seed(bytes: &[u8]) -> Result<Seed, sqlx::Error> {
    bytes.try_into().map_err(|_| decode_error(Invalid("must be 32 bytes")))
}
