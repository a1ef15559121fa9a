//! The rules: values that parse, the account with its verbs and events, the rotation of signing keys. No I/O, no clock.

pub mod account;
mod common_passwords;
pub mod email;
pub mod event;
pub mod ids;
pub mod key_rotation;
pub mod mail_purpose;
pub mod name;
pub mod notification;
pub mod operator_action;
pub mod password;
pub mod role;
pub mod status;

pub use account::{Account, Change, NotActive};
pub use email::Email;
pub use event::DomainEvent;
pub use ids::{SessionId, UserId};
pub use key_rotation::{Rotation, Schedule};
pub use mail_purpose::MailPurpose;
pub use name::Name;
pub use notification::{Notification, Order};
pub use operator_action::{OperatorAction, Reason};
pub use password::{Password, PasswordHash};
pub use role::Role;
pub use status::Status;

/// Why a value was refused, as a text that may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub &'static str);
