#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod connection;
mod lent;
mod migrate;
mod pool;
mod query;
mod statement;
mod summary;

pub use self::{
    connection::{Connection, Savepoint, Transaction},
    lent::Lent,
    pool::Pool,
    summary::summary,
};
