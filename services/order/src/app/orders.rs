//! Reading orders.

use tracing::instrument;

use super::{
    App, Error,
    ports::{Behind, Owner},
};
use crate::domain::{
    ids::{OrderId, UserId},
    order::Order,
};

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// Whether it has the role `operator`.
    pub operator: bool,
}

impl App {
    /// The order, if the caller may see it: somebody else's is as good as none.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn order(&self, caller: Caller, id: OrderId) -> Result<Order, Error> {
        let order = self.orders.get(id).await?;
        order.filter(|order| caller.operator || order.user == caller.user).ok_or(Error::NotFound("order"))
    }

    /// A page of orders, newest first; one more than `limit` says that there are more.
    #[instrument(skip_all)]
    pub async fn list_orders(&self, owner: Owner, behind: Option<Behind>, limit: u32) -> Result<Vec<Order>, Error> {
        Ok(self.orders.list(owner, behind, limit).await?)
    }

    /// Refuses what is not reading to an account that is closing.
    pub async fn may_write(&self, user: UserId) -> Result<(), Error> {
        if self.accounts.is_closing(user).await? {
            return Err(Error::AccountClosing);
        }
        Ok(())
    }
}
