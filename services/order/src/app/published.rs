//! What the other services are told about an order.

use messaging::{Effects, Event as Envelope, Receipt};
use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use crate::domain::{event::Event, order::Order};

/// The source named in every event of this service.
pub const SOURCE: &str = "order";

/// The data of every `order.*.v1` event (proto/events).
#[derive(Serialize)]
struct Data<'a> {
    order_id: String,
    user_id: String,
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

/// What has to be stored with a change of `order`: the event, and the receipt
/// of the event that caused it.
pub fn effects(
    order: &Order,
    event: Option<Event>,
    receipt: Option<Receipt>,
    now: OffsetDateTime,
) -> Result<Effects, Error> {
    let events = match event {
        Some(event) => vec![envelope(order, event, now)?],
        None => Vec::new(),
    };
    Ok(Effects { events, receipt })
}

fn envelope(order: &Order, event: Event, now: OffsetDateTime) -> Result<Envelope, Error> {
    let data = Data {
        order_id: order.id.to_string(),
        user_id: order.user.to_string(),
        total: Money { amount: order.total.amount, currency: order.total.currency.code() },
        items: order
            .items
            .iter()
            .map(|item| Item { product_id: item.product.to_string(), quantity: item.quantity.pieces() })
            .collect(),
        reason: order.reason.map(crate::domain::status::Reason::name),
    };
    Envelope::new(event.kind(), SOURCE, order.id, now, data).map_err(|e| Error::Event(e.into()))
}
