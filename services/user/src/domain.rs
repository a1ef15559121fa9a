//! The rules of accounts: values that parse, the account and its verbs, what it tells others. No I/O, no clock.

pub mod account;
pub mod email;
pub mod event;
pub mod id;
pub mod keys;
pub mod name;
pub mod password;
pub mod role;
pub mod status;

pub use account::{Account, Change, Refused};
pub use email::Email;
pub use event::Fact;
pub use id::{SessionId, UserId};
pub use keys::{Rotation, Schedule};
pub use name::Name;
pub use password::{Password, PasswordHash};
pub use role::Role;
pub use status::Status;

/// Why a value was refused, in words that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
