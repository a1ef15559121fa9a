#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod connect;
mod error;
mod measured;
mod outbox;

pub use connect::{connect, limited, ping, within};
pub use error::Error;
/// The driver's types that go in and out of this crate, and what a store needs beside them.
pub use mongodb_driver::{Collection, Database, IndexModel, bson, options};
pub use outbox::{Outbox, Recording, entries, is_recorded, prepare, record_receipt, recording};
