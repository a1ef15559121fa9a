//! Proving that stock and money add up: in sums, and order by order beside what the other services have.

use super::{
    App, Error,
    ports::{AuditedCustomer, AuditedOrder, Totals},
};
use crate::domain::ids::{OrderId, UserId};

impl App {
    /// Adds up everything that is stored.
    ///
    /// # Errors
    /// The store failed.
    pub async fn totals(&self) -> Result<Totals, Error> {
        Ok(self.audit.totals().await?)
    }

    /// At most `limit` orders as they are stored, by ascending id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn audited_orders(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<AuditedOrder>, Error> {
        Ok(self.audit.orders(after, limit).await?)
    }

    /// What the orders of at most `limit` users say, by the users' ascending id.
    ///
    /// # Errors
    /// The store failed.
    pub async fn customers(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedCustomer>, Error> {
        Ok(self.audit.customers(after, limit).await?)
    }
}
