#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod allocations;
mod certificates;
mod committed;
pub mod http;
mod manual_clock;
mod proxy;
pub mod servers;
mod smtp_server;
mod suite;
mod temporary;
mod wait;

pub use allocations::{allocations, assert_near};
pub use certificates::certificates;
pub use committed::committed;
pub use manual_clock::ManualClock;
pub use proxy::Proxy;
pub use smtp_server::{Received, SmtpServer};
pub use tempfile::TempDir;
pub use temporary::{free_port, sqlite_url, temp_dir};
pub use wait::{Deadline, Outcome};
