//! What the ports are on: a file a technology.

pub mod argon2;
pub mod order_client;
pub mod sqlite;
