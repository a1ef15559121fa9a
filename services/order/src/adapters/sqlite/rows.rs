//! Rows and values, in and out.

use clock::{from_micros, micros};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Row, sqlite::SqliteRow};
use uuid::Uuid;

use super::corrupt;
use crate::{
    app::ports::{After, StoreError},
    domain::{
        basket::Item,
        ids::{OrderId, ProductId, UserId},
        order::{Order, Origin, Payment, Schedule, State},
        product::Product,
        status::{PaymentStatus, Reason, Status},
        values::{Description, Name, PaymentToken, Price, Quantity, Sku},
    },
};

/// An id as it is stored.
pub(super) fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(super) fn uuid(bytes: &[u8], what: &'static str) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|_| corrupt(what))
}

pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

pub(super) fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or_default()
}

pub(super) fn money(amount: i64, currency: &str) -> Result<Money, StoreError> {
    let currency = Currency::parse(currency).map_err(|_| corrupt("currency"))?;
    Ok(Money::new(amount, currency))
}

/// A line of an order in the column `items`.
#[derive(Serialize, Deserialize)]
struct StoredItem {
    p: String,
    n: String,
    q: i64,
    u: i64,
}

/// The lines of an order as JSON.
pub(super) fn items_json(items: &[Item]) -> Result<String, StoreError> {
    let items: Vec<StoredItem> = items
        .iter()
        .map(|item| StoredItem {
            p: hex::encode(item.product.0.as_bytes()),
            n: item.name.as_str().to_owned(),
            q: item.quantity.pieces(),
            u: item.unit_price.amount,
        })
        .collect();
    serde_json::to_string(&items).map_err(|error| StoreError::Failed(error.into()))
}

fn items(json: &str, currency: Currency) -> Result<Vec<Item>, StoreError> {
    let stored: Vec<StoredItem> = serde_json::from_str(json).map_err(|error| StoreError::Failed(error.into()))?;
    let item = |stored: StoredItem| {
        Ok(Item {
            product: ProductId(Uuid::try_parse(&stored.p).map_err(|_| corrupt("product id"))?),
            name: Name::parse(&stored.n).map_err(|_| corrupt("name"))?,
            quantity: Quantity::parse(stored.q).map_err(|_| corrupt("quantity"))?,
            unit_price: Money::new(stored.u, currency),
        })
    };
    stored.into_iter().map(item).collect()
}

/// An order's place in the list, of a row that cannot be read as a whole.
pub(super) fn key(row: &SqliteRow) -> Option<After> {
    let id = OrderId(Uuid::from_slice(row.try_get("id").ok()?).ok()?);
    Some(After { created_at: from_micros(row.try_get("created_at").ok()?), id })
}

#[derive(FromRow)]
pub(super) struct OrderRow {
    id: Vec<u8>,
    user_id: Vec<u8>,
    status: String,
    reason: Option<String>,
    was_confirmed: Option<bool>,
    items: String,
    amount: i64,
    currency: String,
    payment_id: Option<Vec<u8>>,
    payment_status: Option<String>,
    payment_token: Option<String>,
    digest: Vec<u8>,
    traceparent: Option<String>,
    tracestate: Option<String>,
    canary: bool,
    version: i64,
    due_at: Option<i64>,
    attempts: i64,
    created_at: i64,
    updated_at: i64,
}

impl OrderRow {
    pub(super) fn order(self) -> Result<Order, StoreError> {
        let total = money(self.amount, &self.currency)?;
        let reason = self.reason.as_deref().map(|name| Reason::named(name).ok_or(corrupt("reason")));
        let token = self.payment_token.as_deref().map(PaymentToken::parse);
        let attempts = u32::try_from(self.attempts).unwrap_or(u32::MAX);
        Ok(Order::restore(State {
            id: OrderId(uuid(&self.id, "order id")?),
            user: UserId(uuid(&self.user_id, "user id")?),
            status: Status::named(&self.status).ok_or(corrupt("status"))?,
            reason: reason.transpose()?,
            was_confirmed: self.was_confirmed,
            items: items(&self.items, total.currency)?,
            total,
            payment: payment(self.payment_id.as_deref(), self.payment_status.as_deref())?,
            token: token.transpose().map_err(|_| corrupt("payment token"))?,
            digest: self.digest.try_into().map_err(|_| corrupt("digest"))?,
            origin: Origin { traceparent: self.traceparent, tracestate: self.tracestate, canary: self.canary },
            version: count(self.version),
            schedule: self.due_at.map(|due_at| Schedule { due_at: from_micros(due_at), attempts }),
            created_at: from_micros(self.created_at),
            updated_at: from_micros(self.updated_at),
        }))
    }
}

fn payment(id: Option<&[u8]>, status: Option<&str>) -> Result<Option<Payment>, StoreError> {
    let (Some(id), Some(status)) = (id, status) else {
        return Ok(None);
    };
    let status = PaymentStatus::named(status).ok_or(corrupt("payment status"))?;
    Ok(Some(Payment { id: uuid(id, "payment id")?, status }))
}

/// The columns that make a product, for [`product`].
macro_rules! product_columns {
    () => {
        "id, sku, name, description, price, currency, available, version, created_at, updated_at"
    };
}
pub(super) use product_columns;

pub(super) fn product(row: &SqliteRow) -> Result<Product, StoreError> {
    let (sku, name, description): (&str, &str, &str) =
        (row.try_get("sku")?, row.try_get("name")?, row.try_get("description")?);
    let price = money(row.try_get("price")?, row.try_get("currency")?)?;
    Ok(Product {
        id: ProductId(uuid(row.try_get("id")?, "product id")?),
        sku: Sku::parse(sku).map_err(|_| corrupt("sku"))?,
        name: Name::parse(name).map_err(|_| corrupt("name"))?,
        description: Description::parse(description).map_err(|_| corrupt("description"))?,
        price: Price::parse(price).map_err(|_| corrupt("price"))?,
        available: row.try_get("available")?,
        version: count(row.try_get("version")?),
        created_at: from_micros(row.try_get("created_at")?),
        updated_at: from_micros(row.try_get("updated_at")?),
    })
}

/// The columns of an order that may change.
pub(super) struct Columns {
    pub status: &'static str,
    pub reason: Option<&'static str>,
    pub payment_id: Option<Vec<u8>>,
    pub payment_status: Option<&'static str>,
    pub payment_token: Option<String>,
    pub version: i64,
    pub due_at: Option<i64>,
    pub attempts: i64,
    pub updated_at: i64,
    pub was_confirmed: Option<bool>,
}

impl Columns {
    pub(super) fn of(order: &Order) -> Self {
        Self {
            status: order.status.name(),
            reason: order.reason.map(Reason::name),
            payment_id: order.payment.map(|payment| blob(payment.id)),
            payment_status: order.payment.map(|payment| payment.status.name()),
            payment_token: order.token.as_ref().map(|token| token.expose().to_owned()),
            version: number(order.version),
            due_at: order.schedule.map(|schedule| micros(schedule.due_at)),
            attempts: order.schedule.map_or(0, |schedule| i64::from(schedule.attempts)),
            updated_at: micros(order.updated_at),
            was_confirmed: order.was_confirmed,
        }
    }
}
