//! Runs the three real binaries under the real supervisor and talks to them as a client would.
//!
//! [`Cluster`] starts and ends them in a folder of its own; [`Api`] is a small HTTP client that keeps connections;
//! [`observe`] is what receives their telemetry.
#![warn(missing_docs)]

mod api;
mod cluster;
pub mod observe;

pub use api::{Account, Api};
pub use cluster::{Cluster, Process, ServerProcess, binary};
pub use trireme::http::Answer;
