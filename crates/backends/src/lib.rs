#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod adapter;
mod bus;
mod cache;
mod database;
mod limiter;
mod lock;

pub use self::{bus::open as bus, cache::open as cache, limiter::open as limiter, lock::open as lock};
pub use adapter::{Error, scheme};
pub use database::Database;
