//! Rows as the domain has them, and back.

use sqlx::{Row as _, sqlite::SqliteRow};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    adapters::columns::decode_error,
    app::ports::AuditedAccount,
    domain::{Account, Email, Name, UserId},
};

/// Reads [`account_columns`](crate::adapters::columns::account_columns).
pub(super) fn account(row: &SqliteRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: UserId(uuid(row, 0)?),
        email: row.try_get::<Option<String>, _>(1)?.map(Email::stored),
        name: row.try_get::<Option<String>, _>(2)?.map(Name::stored),
        status: row.try_get::<String, _>(3)?.parse().map_err(decode_error)?,
        orders_placed: count(row, 4)?,
        version: count(row, 5)?,
        revision: count(row, 6)?,
        created_at: time(row, 7)?,
        updated_at: time(row, 8)?,
        disabled_at: row.try_get::<Option<i64>, _>(9)?.map(clock::from_micros),
    })
}

/// Reads id, status and `orders_placed`, whatever they say.
pub(super) fn audited(row: &SqliteRow) -> Result<AuditedAccount, sqlx::Error> {
    Ok(AuditedAccount { id: UserId(uuid(row, 0)?), status: row.try_get(1)?, orders_placed: row.try_get(2)? })
}

/// Reads an id.
pub(super) fn uuid(row: &SqliteRow, index: usize) -> Result<Uuid, sqlx::Error> {
    Uuid::from_slice(&row.try_get::<Vec<u8>, _>(index)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Reads an id that may not be there.
pub(super) fn optional_uuid(row: &SqliteRow, index: usize) -> Result<Option<Uuid>, sqlx::Error> {
    row.try_get::<Option<Vec<u8>>, _>(index)?.map(|_| uuid(row, index)).transpose()
}

/// Reads a number that is never negative.
pub(super) fn count(row: &SqliteRow, index: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(index)?).map_err(|error| sqlx::Error::Decode(error.into()))
}

/// Reads a time.
pub(super) fn time(row: &SqliteRow, index: usize) -> Result<OffsetDateTime, sqlx::Error> {
    Ok(clock::from_micros(row.try_get(index)?))
}
