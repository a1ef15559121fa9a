//! The life of a service: servers with the standard layers, health, tasks, shutdown.
//!
//! A service builds an [`App`] and hands it to [`run`], which
//!
//! 1. binds HTTP, gRPC and admin and logs `ready` with the addresses;
//! 2. serves until SIGINT or SIGTERM, or until a task of [`Tasks`] ends by itself, which is an error;
//! 3. stops in order: not ready → lame duck (still serving, `Connection: close`) → no new connections → requests in
//!    flight end → tasks are told to stop and awaited → done, all within the deadline.
//!
//! What every request passes through stands in one place, [`layers`]. [`json`] and [`http`] read requests and write
//! answers as the public interface demands.
#![warn(missing_docs)]

mod admin;
mod app;
mod config;
mod connection;
mod health;
pub mod http;
pub mod json;
mod layers;
mod probe;
mod runtime;
mod serve;
mod tasks;

pub use self::{
    app::{App, Listeners, run, serve_until},
    config::{Config, Cors, Limits, Listen, Shutdown},
    health::Health,
    layers::layers,
    probe::probe,
    runtime::runtime,
    tasks::Tasks,
};
