//! The bus on NATS `JetStream`.
//!
//! `JetStream` keeps the log and this adapter keeps the groups' places in it. A stream holds all events, by part of
//! their key and by kind; a key-value bucket holds, for each group and part, which member reads it, up to where it has
//! got, and what before that is still open. Every settlement is a compare-and-set on that entry, so that a member which
//! lost a part can change nothing there, and a new one begins exactly with what is open, in order. Durable consumers
//! with acknowledgements of the server's own cannot promise that: what they deliver again comes behind what was
//! delivered meanwhile, and an acknowledgement that comes too late counts (docs/adr/0007).

mod bus;
mod connect;
mod deaths;
mod entry;
mod lanes;
mod members;
mod message;
mod names;
mod part;
mod reader;
mod share;
mod state;
mod subscription;

pub use bus::NatsBus;
