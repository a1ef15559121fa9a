//! Proves the ledger: what the stored totals, the provider and the outbox say.

use tracing::instrument;

use super::{
    App, Error,
    ports::{StoreError, Totals},
};

/// The result of an audit.
#[derive(Debug, Clone, Default)]
pub struct Audit {
    /// Sums over payments and ledger.
    pub totals: Totals,
    /// Orders with more than one authorization, capture or refund at the provider.
    pub charged_twice: u64,
    /// Events not yet published.
    pub outbox: u64,
}

impl App {
    /// Audits everything that is stored.
    ///
    /// # Errors
    /// The store or the provider does not answer.
    #[instrument(name = "payment.audit", skip_all)]
    pub async fn audit(&self) -> Result<Audit, Error> {
        let depth = self.outbox.depth().await;
        let depth = depth.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Audit {
            totals: self.payments.totals().await?,
            charged_twice: self.provider.charged_twice().await?,
            outbox: depth.count + depth.dead,
        })
    }
}
