//! What the tables of both databases have in common.

use crate::{
    app::{ports::Seed, unreadable},
    domain::Invalid,
};

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

/// Reads rows one by one: one that cannot be read, named by its key, is left out.
pub(super) fn readable<R, T>(
    what: &'static str,
    rows: &[R],
    read: impl Fn(&R) -> Result<T, sqlx::Error>,
    key: impl Fn(&R) -> Result<uuid::Uuid, sqlx::Error>,
) -> Vec<T> {
    let read = |row: &R| {
        let key = || key(row).map(|key| key.to_string()).unwrap_or_default();
        read(row).inspect_err(|error| unreadable::note(what, &key(), error)).ok()
    };
    rows.iter().filter_map(read).collect()
}

/// A number as SQL keeps it. Ours count things that happened: they do not reach the limit.
pub(super) fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// What a refresh token's successor was made from.
pub(super) fn seed(bytes: &[u8]) -> Result<Seed, sqlx::Error> {
    bytes.try_into().map_err(|_| decode_error(Invalid("must be 32 bytes")))
}
