//! Runs the three real binaries under the real supervisor and talks to them as a client would.
//!
//! [`Cluster`] starts and ends them in a folder of its own; [`Wrapped`] decides their environment, and what time they see;
//! [`Api`] is a small HTTP client that keeps connections; [`customers`] are a load; [`Paused`] are processes that stand still;
//! [`observe`] is what receives their telemetry; [`machine`] what something was measured on, and [`document`] where it is
//! written.
#![warn(missing_docs)]

mod api;
mod binary;
mod cluster;
pub mod customers;
pub mod document;
pub mod machine;
pub mod observe;
mod paused;
mod wrapped;

pub use api::{Account, Api};
pub use binary::binary;
pub use cluster::{Cluster, Process, ServerProcess};
pub use paused::{Paused, family};
pub use trireme::http::Answer;
pub use wrapped::{SERVICES, Wrapped};
