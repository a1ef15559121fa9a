//! Taking a delivery into stock.

use tracing::instrument;

use super::{
    App, Error,
    ports::{Key, Keyed},
};
use crate::domain::{ids::ProductId, product::Product, values::Delivery};

impl App {
    /// Adds to the stock of a product, once per key; says whether it was done before.
    #[instrument(skip_all, fields(product.id = %id))]
    pub async fn restock_product(
        &self,
        id: ProductId,
        delivery: Delivery,
        key: &Key,
    ) -> Result<(Product, bool), Error> {
        let restocked = self.products.restock(id, delivery, key).await;
        self.shelf.drop_copy(id).await;
        match restocked? {
            Keyed::Done(product) => Ok((*product, false)),
            Keyed::Replayed(product) => Ok((*product, true)),
            Keyed::Refused => Err(Error::StockFull),
            Keyed::OtherBody => Err(Error::OtherBody),
        }
    }
}
