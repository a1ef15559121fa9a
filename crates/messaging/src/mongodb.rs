//! An outbox inside the documents of a MongoDB collection.
//!
//! There is one document per aggregate and the aggregate's id is its events' key. Its events are stored in it by the
//! same update that changes it ([`effects`]), so that no transaction is needed:
//!
//! | field | meaning |
//! |---|---|
//! | `outbox` | the events to be published, in order |
//! | `waiting` | the time of the oldest of them; there while there are any |
//! | `retry_at` | the first of them was refused and waits until then |
//! | `dead` | those that the bus refused for good |
//! | `inbox` | the events that were applied to the aggregate |
//!
//! Events that were handled without a change of any aggregate are in the collection `inbox` ([`note`]).
//! Times are microseconds since 1970, as everywhere: BSON's own date knows milliseconds.

mod entry;
mod lease;
mod outbox;
mod record;

pub use outbox::MongoOutbox;
pub use record::{Recording, effects, entries, is_noted, note, prepare};
