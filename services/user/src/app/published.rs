//! The events that this service publishes; their schemas are in `proto/events`.

use messaging::{Effects, Event};
use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use crate::domain::{DomainEvent, UserId};

/// The source named in every event of this service.
pub const SOURCE: &str = "user";

/// The data of every `user.*.v1` event. Nothing personal: who wants to know more asks this service.
#[derive(Serialize)]
struct Data {
    user_id: String,
}

/// What has to be stored with a change of an account: the event to publish.
///
/// # Errors
/// The event cannot be serialized.
pub fn effects(event: DomainEvent, user: UserId, now: OffsetDateTime) -> Result<Effects, Error> {
    let data = Data { user_id: user.to_string() };
    // The account is the key: its events reach each consumer in their order.
    let event = Event::new(event.kind(), SOURCE, user, now, data).map_err(Error::internal)?;
    Ok(Effects::of(vec![event]))
}
