//! Closing an account: no new orders, and the open ones are cancelled.

use tracing::instrument;

use super::{App, Error};
use crate::domain::{
    ids::{OrderId, UserId},
    status::{Reason, Status},
};

/// Orders cancelled at a time.
const BATCH: u32 = 100;

impl App {
    /// Marks the account as closing, cancels its open orders, and says how
    /// many have not ended yet. May be repeated at any time.
    ///
    /// # Errors
    /// The store failed, or others kept changing an order.
    #[instrument(skip_all, fields(user.id = %user))]
    pub async fn close_account(&self, user: UserId) -> Result<u64, Error> {
        // First the mark: an order that is placed from now on is refused, and one that was placed before is found.
        self.accounts.close(user, self.clock.now()).await?;
        let to_cancel = statuses(Status::is_cancelled_with_account);
        loop {
            let ids = self.orders.of_user_in(user, &to_cancel, BATCH).await?;
            if ids.is_empty() {
                break;
            }
            // All of them are tried before the first error counts: one bad order holds up no other.
            let mut result = Ok(());
            for id in ids {
                result = result.and(self.cancel_for_closing(id).await);
            }
            result?;
        }
        let open = statuses(Status::blocks_account_closing);
        Ok(self.orders.count_of_user_in(user, &open).await?)
    }

    async fn cancel_for_closing(&self, id: OrderId) -> Result<(), Error> {
        let order = self.reload(id).await?;
        match self.cancel_because(order, Reason::AccountClosed).await {
            // Rejected or fulfilled meanwhile: it stays as it is.
            Ok(_) | Err(Error::InvalidTransition(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn statuses(wanted: fn(Status) -> bool) -> Vec<Status> {
    Status::ALL.into_iter().filter(|s| wanted(*s)).collect()
}
