//! Counting the orders that were ever confirmed.

use messaging::Receipt;
use tracing::instrument;

use super::{App, Error};
use crate::domain::UserId;

impl App {
    /// Counts a confirmed order, once per receipt.
    ///
    /// # Errors
    /// No such account; the store fails.
    #[instrument(name = "service.count_order", skip_all, fields(user.id = %id))]
    pub async fn count_order(&self, id: UserId, receipt: Receipt) -> Result<(), Error> {
        if !self.accounts.count_order(id, receipt).await? {
            return Err(Error::NotFound);
        }
        self.invalidate_cached(id).await;
        Ok(())
    }
}
