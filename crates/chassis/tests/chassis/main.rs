//! The chassis over real sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod calls;
mod crowd;
mod dead_rows;
mod described;
mod limits;
mod probe;
mod problems;
mod push;
mod stop;
mod support;
mod travel;
