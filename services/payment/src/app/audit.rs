//! Proves the books: what the ledger, the provider and the outbox say.

use tracing::instrument;

use super::{
    Cashier, Failure,
    ports::{Books, StoreError},
};

/// What an audit found.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// What the stored books say.
    pub books: Books,
    /// Payments with more than one authorization, capture or refund at the provider.
    pub charged_twice: u64,
    /// Events not yet published.
    pub outbox: u64,
}

impl Cashier {
    /// Audits everything that is stored.
    ///
    /// # Errors
    /// The store or the provider does not answer.
    #[instrument(name = "payment.audit", skip_all)]
    pub async fn audit(&self) -> Result<Audit, Failure> {
        let depth = self.outbox.depth().await;
        let depth = depth.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Audit {
            books: self.payments.books().await?,
            charged_twice: self.provider.charged_twice().await?,
            outbox: depth.count + depth.dead,
        })
    }
}
