#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod activity;
mod admin;
mod admission;
mod app;
mod config;
mod connection;
mod dead_rows;
mod grpc_health;
mod health;
pub mod http;
mod in_flight;
pub mod json;
mod layers;
mod log_filter;
pub mod openapi;
mod page;
mod phases;
mod probe;
mod problems;
mod process;
pub mod push;
mod runtime;
mod serve;
mod tasks;

pub use self::{
    app::{App, Listeners, run, serve_until},
    config::{Config, Cors, Limits, Listen, Shutdown},
    dead_rows::dead_rows,
    health::Health,
    layers::layers,
    log_filter::log_filter,
    probe::probe,
    runtime::runtime,
    tasks::Tasks,
};
