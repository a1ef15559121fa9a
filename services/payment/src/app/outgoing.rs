//! The events that payment publishes; their schemas are in `proto/events`.

use messaging::Event;
use money::Money;
use serde::Serialize;
use time::OffsetDateTime;

use super::Failure;
use crate::domain::{Fact, Payment};

/// Where the events come from.
pub const SOURCE: &str = "payment";

#[derive(Serialize)]
struct Data {
    payment_id: String,
    order_id: String,
    amount: Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    decline_reason: Option<&'static str>,
}

/// The event's type.
pub const fn kind(fact: Fact) -> &'static str {
    match fact {
        Fact::Authorized => "payment.authorized.v1",
        Fact::Declined(_) => "payment.declined.v1",
        Fact::Captured => "payment.captured.v1",
        Fact::Voided { .. } => "payment.voided.v1",
        Fact::Refunded => "payment.refunded.v1",
    }
}

/// Writes a fact about a payment down as an event.
pub fn event(fact: Fact, payment: &Payment, now: OffsetDateTime) -> Result<Event, Failure> {
    let data = Data {
        payment_id: payment.id.to_string(),
        order_id: payment.order_id.to_string(),
        amount: payment.amount,
        decline_reason: match fact {
            Fact::Declined(reason) => Some(reason.name()),
            _ => None,
        },
    };
    Event::new(kind(fact), SOURCE, payment.order_id, now, data).map_err(|error| Failure::Event(error.into()))
}
