//! The developer's and operator's tool.
//!
//! It runs the three real binaries as child processes ([`Supervisor`]) and talks to them over their public interfaces,
//! and over the audit routes that a service credential opens.
//! What it knows of a data directory is in [`Data`] and [`State`]; the rest are the commands of [`cli`].
#![warn(missing_docs)]

pub mod cli;

mod backoff;
mod commands;
mod data;
mod demo;
mod environment;
pub mod http;
mod live;
mod output;
mod ports;
mod process;
mod roles;
mod service;
mod shop;
mod signals;
mod state;
mod supervisor;
mod top;
pub mod trace;
mod verify;

pub use data::{Data, Lock};
pub use output::{Logs, Output};
pub use service::{Service, binaries};
pub use state::{Addresses, ServiceState, State};
pub use supervisor::{Options, Supervisor};
pub use verify::{Check, Report, dead_letters, verify};
