//! Helpers for tests: deadlines instead of sleeps, a clock that a test sets, folders and ports of its own,
//! and a client of routers.
//!
//! A dev-dependency only.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let polls = std::cell::Cell::new(0);
//! testkit::eventually!({
//!     polls.set(polls.get() + 1);
//!     polls.get() == 3
//! });
//! # }
//! ```
#![warn(missing_docs)]

pub mod http;
mod manual_clock;
mod places;
mod proxy;
pub mod servers;
mod wait;

pub use manual_clock::ManualClock;
pub use places::{free_port, sqlite_url, temp_dir};
pub use proxy::Proxy;
pub use tempfile::TempDir;
pub use wait::{Outcome, Patience};
