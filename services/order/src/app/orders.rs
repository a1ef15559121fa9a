//! Reading orders.

use auth::Identity;
use tracing::instrument;

use super::{
    App, Error,
    ports::{After, Owner, Standing},
};
use crate::domain::{
    ids::{OrderId, UserId},
    order::Order,
};

/// Who sends a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub user: UserId,
    /// Whether it has the role `operator`.
    pub operator: bool,
}

impl Caller {
    /// Whoever has proved to be somebody.
    pub fn of(identity: &Identity) -> Self {
        Self { user: UserId(identity.user_id), operator: identity.is_operator() }
    }

    /// Refuses whoever is no operator.
    ///
    /// # Errors
    /// The caller is none.
    pub fn must_operate(self) -> Result<(), Error> {
        if self.operator { Ok(()) } else { Err(Error::OperatorsOnly) }
    }

    /// Whose orders the caller is shown: the own ones where nobody else's are asked for.
    ///
    /// # Errors
    /// Only an operator may ask for others'.
    pub fn scope(self, asked: Option<Owner>) -> Result<Owner, Error> {
        match asked {
            Some(_) if !self.operator => Err(Error::OperatorsOnly),
            Some(owner) => Ok(owner),
            None => Ok(Owner::User(self.user)),
        }
    }
}

impl App {
    /// The order, if the caller may see it: somebody else's is reported like one that does not exist.
    ///
    /// # Errors
    /// There is none, or the store failed.
    #[instrument(skip_all, fields(order.id = %id))]
    pub async fn order(&self, caller: Caller, id: OrderId) -> Result<Order, Error> {
        let order = self.orders.get(id).await?;
        order.filter(|order| caller.operator || order.user == caller.user).ok_or(Error::NotFound("order"))
    }

    /// At most `limit` orders, newest first, beginning after the cursor. Those that cannot be read are left out.
    ///
    /// # Errors
    /// Others' orders are asked for by somebody who is no operator, or the store failed.
    #[instrument(skip_all)]
    pub async fn list_orders(
        &self,
        caller: Caller,
        asked: Option<Owner>,
        after: Option<After>,
        limit: u32,
    ) -> Result<Vec<Order>, Error> {
        let owner = caller.scope(asked)?;
        Ok(self.set_aside.list(limit, after, |after, limit| self.orders.list(owner, after, limit)).await?)
    }

    /// Refuses an account that is closing or disabled anything but reading.
    ///
    /// # Errors
    /// It is, or the store failed.
    pub async fn may_write(&self, user: UserId) -> Result<(), Error> {
        match self.accounts.standing(user).await? {
            Standing::Active => Ok(()),
            Standing::Disabled => Err(Error::AccountDisabled),
            Standing::Closing => Err(Error::AccountClosing),
        }
    }
}
