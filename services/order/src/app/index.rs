//! Keeping the indices of the search server: what changed is read from the store and written as it is there.
//!
//! What is written has the store's version, and an index keeps the highest: it does not matter in which order events
//! come, how often, or how long somebody was suspended between reading and writing.

use super::{App, Error, ports::search::Batch};
use crate::domain::ids::{OrderId, ProductId};

impl App {
    /// Indexes a product as it is stored.
    ///
    /// # Errors
    /// The store or the search server failed.
    pub async fn index_product(&self, id: ProductId) -> Result<(), Error> {
        match self.products.get(id).await? {
            Some(product) => self.index(Batch::Products(&[product])).await,
            None => Ok(()),
        }
    }

    /// Indexes an order as it is stored.
    ///
    /// # Errors
    /// The store or the search server failed.
    pub async fn index_order(&self, id: OrderId) -> Result<(), Error> {
        match self.orders.get(id).await? {
            Some(order) => self.index(Batch::Orders(&[order])).await,
            None => Ok(()),
        }
    }

    async fn index(&self, batch: Batch<'_>) -> Result<(), Error> {
        match &self.search.server {
            Some(server) => Ok(server.put(batch).await?),
            None => Ok(()),
        }
    }
}
