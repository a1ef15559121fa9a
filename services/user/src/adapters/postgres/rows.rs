//! Rows as the domain has them.

use sqlx::{Row as _, postgres::PgRow};

use crate::{
    adapters::columns::decode_error,
    app::ports::AuditedAccount,
    domain::{Account, Email, Name, UserId},
};

/// Reads [`account_columns`](crate::adapters::columns::account_columns).
pub(super) fn account(row: &PgRow) -> Result<Account, sqlx::Error> {
    Ok(Account {
        id: UserId(row.try_get(0)?),
        email: row.try_get::<Option<String>, _>(1)?.map(Email::stored),
        name: row.try_get::<Option<String>, _>(2)?.map(Name::stored),
        status: row.try_get::<&str, _>(3)?.parse().map_err(decode_error)?,
        orders_placed: count(row, 4)?,
        version: count(row, 5)?,
        revision: count(row, 6)?,
        created_at: postgres::time(row, 7)?,
        updated_at: postgres::time(row, 8)?,
        disabled_at: postgres::optional_time(row, 9)?,
    })
}

/// Reads id, status and `orders_placed`, whatever they say.
pub(super) fn audited(row: &PgRow) -> Result<AuditedAccount, sqlx::Error> {
    Ok(AuditedAccount { id: UserId(row.try_get(0)?), status: row.try_get(1)?, orders_placed: row.try_get(2)? })
}

/// Reads a number that is never negative.
pub(super) fn count(row: &PgRow, index: usize) -> Result<u64, sqlx::Error> {
    u64::try_from(row.try_get::<i64, _>(index)?).map_err(|error| sqlx::Error::Decode(error.into()))
}
