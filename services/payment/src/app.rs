//! The use cases, one a file, and the ports they need.

mod audit;
mod authorize;
mod capture;
mod cashier;
pub mod failure;
mod look_up;
pub mod outgoing;
pub mod ports;
mod reconcile;
mod refund;
mod sweep;
mod void;
mod work;

pub use audit::Audit;
pub use authorize::Order;
pub use cashier::Cashier;
pub use failure::Failure;
