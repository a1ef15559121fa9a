//! The embedded adapters: outbox and inbox in a service's own database, and a bus in a file that processes share.

mod acks;
mod bus;
mod claim;
mod dead;
mod outbox;
mod presence;
mod prune;
mod record;
mod rows;
mod signal;
mod subscription;

pub use bus::SqliteBus;
pub use outbox::SqliteOutbox;
pub use record::{SCHEMA, prepare, record};
