//! Outbox and inbox in a service's own PostgreSQL database.

mod lease;
mod listen;
mod outbox;
mod record;
mod rows;

pub use outbox::PostgresOutbox;
pub use record::{open, record};
