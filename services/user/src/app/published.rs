//! The events that this service publishes; their schemas are in `proto/events`.

use messaging::{Effects, Event};
use serde::Serialize;
use time::OffsetDateTime;

use super::Error;
use crate::domain::{Account, DomainEvent, UserId};

/// The source named in every event of this service.
pub const SOURCE: &str = "user";

/// The data of every `user.*.v1` event. Nothing personal: who wants to know more asks this service.
#[derive(Serialize)]
struct Data {
    user_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
}

/// What has to be stored with a change of an account: the event to publish.
///
/// # Errors
/// The event cannot be serialized.
pub fn effects(event: DomainEvent, user: UserId, now: OffsetDateTime) -> Result<Effects, Error> {
    of_account(event, user, None, now)
}

/// The same for an account that was just disabled or enabled. Its version tells others which of several is the latest, however
/// they come.
///
/// # Errors
/// The event cannot be serialized.
pub fn standing(account: &Account, now: OffsetDateTime) -> Result<Effects, Error> {
    let event = if account.disabled_at.is_some() { DomainEvent::Disabled } else { DomainEvent::Enabled };
    of_account(event, account.id, Some(account.version), now)
}

fn of_account(event: DomainEvent, user: UserId, version: Option<u64>, now: OffsetDateTime) -> Result<Effects, Error> {
    let data = Data { user_id: user.to_string(), version };
    // The account is the key: its events reach each consumer in their order.
    let event = Event::new(event.kind(), SOURCE, user, now, data).map_err(Error::internal)?;
    Ok(Effects::of(vec![event]))
}
