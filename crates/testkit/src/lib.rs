#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod http;
mod manual_clock;
mod places;
mod proxy;
pub mod servers;
mod suite;
mod wait;

pub use manual_clock::ManualClock;
pub use places::{free_port, sqlite_url, temp_dir};
pub use proxy::Proxy;
pub use tempfile::TempDir;
pub use wait::{Outcome, Patience};
