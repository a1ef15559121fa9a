//! The event bus on NATS `JetStream`.
//!
//! The server keeps everything that has to last: a stream holds all events, by partition of their key and by kind, and a
//! group has a durable pull consumer for each partition, which knows what was delivered how often and what is settled.
//! The server gives a partition to one reader at a time (the pinned client of a priority group, NATS ADR-42), members
//! tell each other that they live only to spread the work, and a member that takes over holds back what it reads until
//! all that the last one had in hand has come again, so that the events of a key stay in order (docs/adr/0013).
#![warn(missing_docs)]
#![doc = include_str!("../README.md")]

mod bus;
mod connect;
mod connection;
mod dead_letters;
mod group;
mod members;
mod message;
mod names;
mod pull;
mod settle;
mod streams;
mod subscription;
mod takeover;

pub use bus::NatsBus;
