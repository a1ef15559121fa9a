//! What the ports are on: a file a technology.

pub mod argon2;
mod columns;
pub mod log_mail;
pub mod order_client;
pub mod postgres;
pub mod smtp;
pub mod sqlite;
