#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod blocking;
mod bus;
mod connection;
mod dead_letters;
mod group;
mod logging;
mod message;
mod names;
mod options;
mod partition;
mod reader;
mod subscription;
mod tail;
mod topics;

pub use bus::{Bus, DIFFERENCES, open_bus};
