#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod boundary;
mod grpc;
mod http;
mod kind;
mod violation;

pub use boundary::{Error, HasKind, chain};
pub use http::problem;
pub use kind::Kind;
pub use violation::{Location, Violation};
