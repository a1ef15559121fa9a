//! The registry: which adapter the scheme of a URL stands for.
//!
//! Each port has a table with one line an adapter: [`bus`], [`cache`], [`lock`].
//! An adapter is built in by the Cargo feature that is named like its technology; a scheme whose adapter was left out
//! is known all the same, and the error says how to build it in.
#![warn(missing_docs)]

mod adapter;
mod bus;
mod cache;
mod lock;

pub use self::{bus::open as bus, cache::open as cache, lock::open as lock};
pub use adapter::Error;
