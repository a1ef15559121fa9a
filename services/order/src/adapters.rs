//! The ports, each on its technology.

pub mod elasticsearch;
pub mod jwks;
pub mod mongodb;
pub mod payment_client;
pub mod sqlite;
pub mod user_client;
