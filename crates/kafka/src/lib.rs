#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod blocking;
mod bus;
mod connection;
mod context;
mod counted;
mod dead_letters;
mod group;
mod message;
mod names;
mod options;
mod partition;
mod reader;
mod security;
mod subscription;
mod tail;
mod token;
mod topics;

pub use bus::{Bus, DIFFERENCES, open_bus};
