#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod bus;
mod catalogue;
mod client;
mod dead_letters;
mod group;
mod member;
mod memory;
mod message;
mod names;
mod options;
mod stream;
mod tail;
mod token;

pub use bus::{Bus, DIFFERENCES, open_bus};
