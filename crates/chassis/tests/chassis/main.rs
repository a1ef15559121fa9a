//! The chassis over real sockets.

mod calls;
mod limits;
mod problems;
mod stop;
mod support;
mod travel;
