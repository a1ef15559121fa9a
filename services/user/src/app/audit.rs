//! Sums that prove that nothing is left undone, and accounts to be compared with what order has.

use super::{
    App, Error,
    ports::{AuditedAccount, StoreError, Totals},
};
use crate::domain::UserId;

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

    /// At most `limit` accounts, by ascending id.
    ///
    /// # Errors
    /// The store fails.
    pub async fn audited_accounts(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedAccount>, Error> {
        Ok(self.accounts.page(after, limit).await?)
    }
}
