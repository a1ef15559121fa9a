//! The events that this service publishes.

use messaging::{Effects, Event, Receipt};
use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use crate::domain::{
    event::{DomainEvent, ProductEvent},
    order::Order,
    product::Product,
};

/// The source named in every event of this service.
pub const SOURCE: &str = "order";

/// The data of every `order.*.v1` event (proto/events).
#[derive(Serialize)]
struct Data<'a> {
    order_id: String,
    user_id: String,
    /// Of the order, after it.
    version: u64,
    total: Money<'a>,
    items: Vec<Item>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
}

#[derive(Serialize)]
struct Money<'a> {
    amount: i64,
    currency: &'a str,
}

#[derive(Serialize)]
struct Item {
    product_id: String,
    quantity: i64,
}

/// What has to be stored with a transition of `order`: the event to publish, and
/// the receipt of the event that caused it.
///
/// # Errors
/// The event cannot be serialized.
pub fn effects(
    order: &Order,
    event: Option<DomainEvent>,
    receipt: Option<Receipt>,
    now: OffsetDateTime,
) -> Result<Effects, Error> {
    let events = match event {
        Some(event) => vec![published(order, event, now)?],
        None => Vec::new(),
    };
    Ok(Effects { events, receipt })
}

fn published(order: &Order, event: DomainEvent, now: OffsetDateTime) -> Result<Event, Error> {
    let data = Data {
        order_id: order.id.to_string(),
        user_id: order.user.to_string(),
        version: order.version,
        total: Money { amount: order.total.amount, currency: order.total.currency.code() },
        items: order
            .items
            .iter()
            .map(|item| Item { product_id: item.product.to_string(), quantity: item.quantity.pieces() })
            .collect(),
        reason: order.reason.map(crate::domain::status::Reason::name),
    };
    // The order is the key: its events reach each consumer in their order.
    Event::new(event.kind(), SOURCE, order.id, now, data).map_err(|e| Error::Event(e.into()))
}

/// The data of every `product.*.v1` event (proto/events).
#[derive(Serialize)]
struct ProductData<'a> {
    product_id: String,
    /// Of the product, after it.
    version: u64,
    sku: &'a str,
    name: &'a str,
    price: Money<'a>,
}

/// The event to be stored with a change of `product`.
///
/// # Errors
/// The event cannot be serialized.
pub fn product_event(product: &Product, event: ProductEvent, now: OffsetDateTime) -> Result<Event, Error> {
    let price = product.price.money();
    let data = ProductData {
        product_id: product.id.to_string(),
        version: product.version,
        sku: product.sku.as_str(),
        name: product.name.as_str(),
        price: Money { amount: price.amount, currency: price.currency.code() },
    };
    Event::new(event.kind(), SOURCE, product.id, now, data).map_err(|e| Error::Event(e.into()))
}
