//! The adapters behind the ports, one file a technology.

pub mod sandbox;
pub mod sqlite;
