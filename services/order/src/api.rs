//! The interfaces: they translate and nothing else.

pub mod events;
pub mod http;
pub mod live;
