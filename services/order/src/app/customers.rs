//! The accounts of those who order, asked for once for all that are needed together.

use std::{collections::HashMap, sync::Arc};

use tokio::sync::OnceCell;
use tracing::instrument;

use super::{
    App, Error,
    orders::Caller,
    ports::{Customer, CustomersError},
};
use crate::domain::ids::UserId;

/// Accounts that are needed together, such as those of a page of orders: one call, when the first of them is asked for.
pub struct CustomerBatch {
    ids: Vec<UserId>,
    answer: OnceCell<Result<HashMap<UserId, Customer>, Arc<CustomersError>>>,
}

impl CustomerBatch {
    /// Those of `ids` that the caller may see: an operator all of them, anybody else their own.
    pub fn new(caller: Caller, ids: impl IntoIterator<Item = UserId>) -> Self {
        let mut ids: Vec<_> = ids.into_iter().filter(|id| caller.operator || *id == caller.user).collect();
        ids.sort_unstable();
        ids.dedup();
        Self { ids, answer: OnceCell::new() }
    }
}

impl App {
    /// The account, if it is one of the batch and exists.
    ///
    /// # Errors
    /// The user service did not answer. It is asked once for the whole batch.
    #[instrument(skip_all)]
    pub async fn customer(&self, batch: &CustomerBatch, id: UserId) -> Result<Option<Customer>, Error> {
        let ask = async || {
            let found = self.customers.get_many(&batch.ids).await.map_err(Arc::new)?;
            Ok(found.into_iter().map(|customer| (customer.id, customer)).collect())
        };
        match batch.answer.get_or_init(ask).await {
            Ok(found) => Ok(found.get(&id).cloned()),
            Err(error) => Err(Error::Customers(Arc::clone(error))),
        }
    }
}
