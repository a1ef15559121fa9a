//! Sums that prove that nothing is left undone.

use super::{
    App, Error,
    ports::{StoreError, Totals},
};

/// Sums over everything that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audit {
    /// Of the accounts.
    pub totals: Totals,
    /// Events that are not published, those that the bus refused included.
    pub outbox: u64,
}

impl App {
    /// Sums everything up.
    ///
    /// # Errors
    /// The store fails.
    pub async fn audit(&self) -> Result<Audit, Error> {
        let depth = self.outbox.depth().await.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(Audit { totals: self.accounts.totals().await?, outbox: depth.count + depth.dead })
    }
}
