//! The embedded adapters under the contract suites, and what is theirs alone: kill -9, pruning, sharing a file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod contract;
mod own;
mod tail;
