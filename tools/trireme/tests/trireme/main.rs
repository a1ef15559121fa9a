//! The supervisor over stand-ins for the three services, and the command line.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod cli;
mod deployment;
mod dlq;
mod https;
mod observing;
mod stand_in;
mod supervising;
