//! Closing an account: no new orders, and the open ones are called off.

use tracing::instrument;

use super::{App, Error};
use crate::domain::{
    ids::UserId,
    status::{Reason, Status},
};

/// Orders called off at a time.
const BATCH: u32 = 100;

impl App {
    /// Marks the account as closing, calls its open orders off, and says how
    /// many have not ended yet. May be repeated at any time.
    #[instrument(skip_all, fields(user.id = %user))]
    pub async fn close_account(&self, user: UserId) -> Result<u64, Error> {
        self.accounts.close(user, self.clock.now()).await?;
        let to_call_off = states(Status::closes_with_account);
        loop {
            let ids = self.orders.of_user_in(user, &to_call_off, BATCH).await?;
            if ids.is_empty() {
                break;
            }
            for id in ids {
                let order = self.reload(id).await?;
                match self.call_off(order, Reason::AccountClosed).await {
                    // Rejected meanwhile: it has ended.
                    Ok(_) | Err(Error::Refused(_)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let open = states(Status::keeps_account_open);
        Ok(self.orders.count_of_user_in(user, &open).await?)
    }
}

fn states(wanted: fn(Status) -> bool) -> Vec<Status> {
    Status::ALL.into_iter().filter(|s| wanted(*s)).collect()
}
