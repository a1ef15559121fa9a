//! The adapters behind the ports, one file a technology.

pub mod postgres;
pub mod sandbox;
pub mod sqlite;
mod words;
