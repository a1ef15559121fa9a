//! The events that payment publishes; their schemas are in `proto/events`.

use messaging::Event;
use money::Money;
use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use crate::domain::{DomainEvent, Payment};

/// What the events of this service say they come from.
pub const SOURCE: &str = "payment";

#[derive(Serialize)]
struct Data {
    payment_id: String,
    order_id: String,
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_reason: Option<&'static str>,
}

/// Encodes an event of a payment for the bus, keyed by the order.
///
/// # Errors
/// The data cannot be encoded.
pub fn encode(event: DomainEvent, payment: &Payment, now: OffsetDateTime) -> Result<Event, Error> {
    let data = Data {
        payment_id: payment.id.to_string(),
        order_id: payment.order_id.to_string(),
        amount: payment.amount,
        decline_reason: match event {
            DomainEvent::Declined(reason) => Some(reason.name()),
            _ => None,
        },
    };
    Event::new(event.kind(), SOURCE, payment.order_id, now, data).map_err(|error| Error::Event(error.into()))
}
