//! The contract of the port `Orders`.

mod placing;
mod racing;
mod saving;

pub use placing::*;
pub use racing::*;
pub use saving::*;
