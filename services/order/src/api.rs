//! The interfaces: they translate and nothing else.

pub mod events;
pub mod graphql;
pub mod http;
pub mod live;
mod search;
