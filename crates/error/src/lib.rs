//! What can go wrong, and the only place that maps it to HTTP and gRPC.
//!
//! Each layer has its own enum and says its [`Kind`] ([`HasKind`]); at the boundary it becomes an [`Error`],
//! which is an HTTP answer, a [`tonic::Status`] and, in words, an RFC 9457 [`problem`] document.
//!
//! ```
//! use error::{Error, Kind, Place};
//!
//! let error = Error::new(Kind::Invalid, "the order cannot be placed")
//!     .at(Place::Pointer("/items/0/quantity".into()), "must be between 1 and 999");
//! let status = tonic::Status::from(error);
//! assert_eq!(status.code(), tonic::Code::InvalidArgument);
//! ```
#![warn(missing_docs)]

mod boundary;
mod grpc;
mod http;
mod kind;
mod place;

pub use boundary::{Error, HasKind};
pub use http::problem;
pub use kind::Kind;
pub use place::{Place, Violation};
