//! The use cases, one a file, and the ports they need.

mod audit;
mod authorize;
mod capture;
mod check_token;
pub mod comparison;
pub mod error;
mod get_payment;
pub mod housekeeping;
mod list_payments;
pub mod metrics;
mod payment_run;
pub mod ports;
mod provider_calls;
pub mod published;
mod reconcile;
mod refund;
pub mod sweep;
mod void;

use std::{fmt, sync::Arc};

use clock::SharedClock;
use lock::Locks;
use messaging::Outbox;
use time::OffsetDateTime;

use metrics::Metrics;
use ports::{Payments, Provider};

pub use audit::{Audit, AuditedCharges, AuditedPayment};
pub use authorize::AuthorizePayment;
pub use error::Error;

/// What the use cases work with; each of them is a method, in the file of its name.
///
/// Every method may be dropped at any await: what was begun is an intent in the store,
/// and whoever works on the payment next finds out its outcome.
pub struct App {
    /// Where payments and ledger are kept.
    pub payments: Arc<dyn Payments>,
    /// Who moves the money.
    pub provider: Arc<dyn Provider>,
    /// Events that wait to be published.
    pub outbox: Arc<dyn Outbox>,
    /// What serialises the work on one payment.
    pub locks: Locks,
    /// What is measured.
    pub metrics: Metrics,
    /// The time.
    pub clock: SharedClock,
}

impl App {
    fn now(&self) -> OffsetDateTime {
        self.clock.now()
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
