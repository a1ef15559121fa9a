//! The adapters behind the ports, one file a technology.

mod columns;
pub mod postgres;
pub mod sandbox;
pub mod sqlite;
