//! Reads a payment by its own id.

use tracing::instrument;

use super::{App, Error};
use crate::domain::{Payment, PaymentId};

impl App {
    /// A payment by its own id.
    ///
    /// # Errors
    /// There is none, or the store does not answer.
    #[instrument(name = "payment.get", skip_all, fields(payment.id = %id))]
    pub async fn get_payment(&self, id: PaymentId) -> Result<Payment, Error> {
        self.payments.by_id(id).await?.ok_or(Error::NotFound)
    }
}
