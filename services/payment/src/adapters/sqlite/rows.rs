//! Rows to values.

use clock::from_micros;
use money::Money;
use sqlx::{Row as _, sqlite::SqliteRow};
use uuid::Uuid;

use crate::{
    adapters::columns::{parse_money, parse_operation, parse_status, unreadable},
    app::ports::{Record, StoreError},
    domain::{ChargeReference, Payment, PaymentToken},
};

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
        intent: row.try_get::<Option<&str>, _>("intent")?.map(parse_operation).transpose()?,
        token: text(row, "token")?
            .map(|token| PaymentToken::parse(token).ok_or_else(|| unreadable("token")))
            .transpose()?,
        reference: text(row, "reference")?.map(ChargeReference::new),
        version: u64::try_from(row.try_get::<i64, _>("version")?).map_err(|_| unreadable("version"))?,
        created_at: from_micros(row.try_get("created_at")?),
        updated_at: from_micros(row.try_get("updated_at")?),
    }))
}

/// Reads an id of 16 bytes.
pub(super) fn uuid(row: &SqliteRow, column: &str) -> Result<Uuid, StoreError> {
    let bytes: &[u8] = row.try_get(column)?;
    Uuid::from_slice(bytes).map_err(|_| unreadable("id"))
}

/// Reads an amount beside its currency.
pub(super) fn money(row: &SqliteRow, amount: &str) -> Result<Money, StoreError> {
    parse_money(row.try_get(amount)?, row.try_get("currency")?)
}

fn text<'r>(row: &'r SqliteRow, column: &str) -> Result<Option<&'r str>, sqlx::Error> {
    row.try_get(column)
}
