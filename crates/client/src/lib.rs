#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod budget;
mod call;
mod config;
mod error;
mod grpc;
mod http;

pub use self::{
    config::{Breaker as BreakerConfig, Config, url},
    error::Error,
    grpc::{Grpc, GrpcChannel},
    http::{Http, Response},
};
