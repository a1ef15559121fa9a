#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

mod boundary;
mod grpc;
mod http;
mod kind;
mod problem;
mod registry;
mod violation;

pub use boundary::{Error, HasProblem, chain};
pub use grpc::DETAIL_DESCRIPTORS;
pub use http::problem;
pub use kind::Kind;
pub use registry::Problem;
pub use violation::{Location, Violation};
