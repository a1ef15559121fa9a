#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod connection;
mod pool;
mod query;
mod statement;
mod summary;

pub use self::{
    connection::{Connection, Transaction},
    pool::Pool,
    summary::summary,
};
