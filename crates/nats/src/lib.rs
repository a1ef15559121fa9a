#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

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
mod tail;
mod takeover;
mod trouble;

pub use bus::{Bus, DIFFERENCES, open_bus};
