//! Business rules: ids and values, the payment with its verbs, its events, the ledger. Sync, no I/O, no clock.

pub mod comparison;
pub mod event;
pub mod ids;
pub mod ledger;
pub mod payment;

pub use comparison::{Discrepancy, compare};
pub use event::{DeclineReason, DomainEvent};
pub use ids::{ChargeReference, OrderId, PaymentId, PaymentToken, UserId};
pub use payment::{Charge, ChargeState, NextStep, Operation, Outcome, Payment, Refusal, Status};
