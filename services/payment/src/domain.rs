//! Business rules: ids and values, the payment with its verbs, the ledger. Sync, no I/O, no clock.

pub mod ids;
pub mod ledger;
pub mod payment;

pub use ids::{OrderId, PaymentId, PaymentToken, Reference, UserId};
pub use payment::{ChargeState, DeclineReason, Fact, Next, Operation, Outcome, Payment, Refusal, Status};
