#![doc = include_str!("../README.md")]
#![warn(missing_docs)]

pub mod duration;
mod error;
mod layers;
mod load;
mod print;
mod range;
mod secret;

pub use error::Error;
pub use load::{Loaded, load, load_from};
pub use range::{fraction, within};
pub use secret::{Secret, SecretFile};
