#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod attempt;
mod budget;
mod call;
mod config;
mod error;
mod grpc;
mod http;
mod transport;

pub use self::{
    config::{Breaker as BreakerConfig, Config, outside_url, url},
    error::Error,
    grpc::{Grpc, GrpcChannel},
    http::{Http, Response},
};
