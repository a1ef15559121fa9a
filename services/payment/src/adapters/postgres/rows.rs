//! Rows to values.

use money::Money;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use crate::{
    adapters::columns::{parse_money, parse_operation, parse_status, unreadable},
    app::ports::{Record, StoreError},
    domain::{ChargeReference, Payment, PaymentToken},
};

/// Reads what is stored for an order.
pub(super) fn record(row: &PgRow) -> Result<Record, StoreError> {
    let status: &str = row.try_get("status")?;
    if status == "closed" {
        return Ok(Record::Closed);
    }
    Ok(Record::Payment(Payment {
        id: row.try_get::<Uuid, _>("id")?.into(),
        order_id: row.try_get::<Uuid, _>("order_id")?.into(),
        user_id: row.try_get::<Uuid, _>("user_id")?.into(),
        amount: money(row, "amount")?,
        status: parse_status(status, row.try_get("decline_reason")?)?,
        intent: row.try_get::<Option<&str>, _>("intent")?.map(parse_operation).transpose()?,
        token: text(row, "token")?
            .map(|token| PaymentToken::parse(token).ok_or_else(|| unreadable("token")))
            .transpose()?,
        reference: text(row, "reference")?.map(ChargeReference::new),
        version: u64::try_from(row.try_get::<i64, _>("version")?).map_err(|_| unreadable("version"))?,
        created_at: postgres::time(row, "created_at")?,
        updated_at: postgres::time(row, "updated_at")?,
    }))
}

/// Reads an amount beside its currency.
pub(super) fn money(row: &PgRow, amount: &str) -> Result<Money, StoreError> {
    parse_money(row.try_get(amount)?, row.try_get("currency")?)
}

fn text<'r>(row: &'r PgRow, column: &str) -> Result<Option<&'r str>, sqlx::Error> {
    row.try_get(column)
}
