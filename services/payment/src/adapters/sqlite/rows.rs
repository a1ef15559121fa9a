//! Rows to values and back, and what `SQLite`'s errors mean to the store.

use clock::from_micros;
use money::{Currency, Money};
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    app::ports::{Cause, Record, StoreError},
    domain::{DeclineReason, Operation, Payment, PaymentToken, Reference, Status},
};

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        if sqlite::is_unavailable(&error) { Self::Unavailable(error.into()) } else { Self::Broken(error.into()) }
    }
}

/// Reads what is stored for an order.
pub(super) fn record(row: &SqliteRow) -> Result<Record, StoreError> {
    let status: &str = row.try_get("status")?;
    if status == "closed" {
        return Ok(Record::Closed);
    }
    Ok(Record::Payment(Payment {
        id: uuid(row, "id")?.into(),
        order_id: uuid(row, "order_id")?.into(),
        user_id: uuid(row, "user_id")?.into(),
        amount: money(row, "amount")?,
        status: parse_status(status, row.try_get("decline_reason")?)?,
        intent: row.try_get::<Option<&str>, _>("intent")?.map(operation).transpose()?,
        token: text(row, "token")?
            .map(|token| PaymentToken::parse(token).ok_or_else(|| unreadable("token")))
            .transpose()?,
        reference: text(row, "reference")?.map(Reference::new),
        version: u64::try_from(row.try_get::<i64, _>("version")?).map_err(|_| unreadable("version"))?,
        created_at: from_micros(row.try_get("created_at")?),
        updated_at: from_micros(row.try_get("updated_at")?),
    }))
}

/// Reads an id of 16 bytes.
pub(in crate::adapters) fn uuid(row: &SqliteRow, column: &str) -> Result<Uuid, StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    Uuid::from_slice(bytes).map_err(|_| unreadable("id"))
}

/// Reads an amount beside its currency.
pub(in crate::adapters) fn money(row: &SqliteRow, amount: &str) -> Result<Money, StoreError> {
    let code: &str = row.try_get("currency")?;
    let currency = Currency::parse(code).map_err(|_| unreadable("currency"))?;
    Ok(Money::new(row.try_get(amount)?, currency))
}

/// Reads the reason of a decline.
pub(in crate::adapters) fn reason(name: &str) -> Result<DeclineReason, StoreError> {
    [DeclineReason::Declined, DeclineReason::InsufficientFunds]
        .into_iter()
        .find(|reason| reason.name() == name)
        .ok_or_else(|| unreadable("decline_reason"))
}

/// The reason of a decline, as stored.
pub(super) fn decline_reason(payment: &Payment) -> Option<&'static str> {
    match payment.status {
        Status::Declined(reason) => Some(reason.name()),
        _ => None,
    }
}

/// A version, as stored.
pub(super) fn version(version: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(version).map_err(|error| sqlx::Error::Encode(error.into()))
}

fn text<'r>(row: &'r SqliteRow, column: &str) -> Result<Option<&'r str>, sqlx::Error> {
    row.try_get(column)
}

fn parse_status(name: &str, declined: Option<&str>) -> Result<Status, StoreError> {
    if let Some(name) = declined {
        return Ok(Status::Declined(reason(name)?));
    }
    [Status::Pending, Status::Authorized, Status::Captured, Status::Voided, Status::Refunded]
        .into_iter()
        .find(|status| status.name() == name)
        .ok_or_else(|| unreadable("status"))
}

fn operation(name: &str) -> Result<Operation, StoreError> {
    Operation::ALL.into_iter().find(|operation| operation.name() == name).ok_or_else(|| unreadable("operation"))
}

pub(in crate::adapters) fn unreadable(what: &str) -> StoreError {
    StoreError::Broken(Cause::from(format!("a stored {what} cannot be read")))
}
