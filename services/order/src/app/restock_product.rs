//! Restocking a product.

use tracing::instrument;

use super::{
    App, Error,
    ports::{CommandKey, Idempotent},
};
use crate::domain::{ids::ProductId, product::Product, values::RestockQuantity};

impl App {
    /// Adds to the stock of a product, once per key; says whether this is a replay.
    ///
    /// # Errors
    /// The stock would be too large, the key was used with another body, or the store failed.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn restock_product(
        &self,
        id: ProductId,
        quantity: RestockQuantity,
        key: &CommandKey,
    ) -> Result<(Product, bool), Error> {
        let restocked = self.products.restock(id, quantity, key).await;
        // Also after an error: it may have been stored all the same.
        self.product_cache.invalidate(id).await;
        match restocked? {
            Idempotent::Done(product) => Ok((*product, false)),
            Idempotent::Replayed(product) => Ok((*product, true)),
            Idempotent::Refused => Err(Error::StockFull),
            Idempotent::KeyReused => Err(Error::KeyReused),
        }
    }
}
