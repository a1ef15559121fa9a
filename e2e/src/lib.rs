//! Runs the three real binaries under the real supervisor and talks to them as a client would.
//!
//! [`Cluster`] starts and ends them in a folder of its own; [`Api`] is a small HTTP client that keeps connections.
#![warn(missing_docs)]

mod api;
mod cluster;

pub use api::{Account, Api};
pub use cluster::{Cluster, Process, ServerProcess, binary};
pub use trireme::http::Answer;
