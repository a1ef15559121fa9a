#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod address;
mod answer;
mod client;
mod error;
mod index;

pub use self::{
    answer::{Hit, Hits},
    client::Client,
    error::Error,
    index::{Build, Document, Index},
};
