//! What handlers share: reading requests strictly and responding uniformly, as the public interface demands.

mod body;
mod client_address;
mod conditional;
mod id;
mod idempotency;
mod params;
mod reply;

pub use self::{
    body::{BODY_LIMIT, Payload},
    client_address::ClientAddress,
    conditional::{Condition, IfMatch, IfNoneMatch, etag},
    id::Id,
    idempotency::{IdempotencyKey, REPLAYED},
    params::{Page, Params},
    reply::{Listed, list, resource},
};
