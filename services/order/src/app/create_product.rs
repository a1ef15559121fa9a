//! Adding a product to the catalogue.

use time::OffsetDateTime;
use tracing::instrument;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    App, Error,
    ports::{Key, Keyed},
};
use crate::domain::{
    ids::ProductId,
    product::Product,
    values::{Description, Name, Price, Sku, Stock},
};

/// A product that is to be.
#[derive(Debug, Clone)]
pub struct NewProduct {
    /// Its article number.
    pub sku: Sku,
    /// Its name.
    pub name: Name,
    /// Its description.
    pub description: Description,
    /// Its price.
    pub price: Price,
    /// Pieces in stock.
    pub stock: Stock,
}

impl NewProduct {
    pub(super) fn at(self, now: OffsetDateTime) -> Product {
        Product {
            id: ProductId(new_id(now)),
            sku: self.sku,
            name: self.name,
            description: self.description,
            price: self.price,
            available: self.stock.pieces(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }
}

impl App {
    /// Adds a product, once per key; says whether it was there already.
    #[instrument(skip_all)]
    pub async fn create_product(&self, new: NewProduct, key: &Key) -> Result<(Product, bool), Error> {
        let product = new.at(self.clock.now());
        match self.products.create(&product, Some(key)).await? {
            Keyed::Done(product) => {
                self.shelf.drop_copy(product.id).await;
                Ok((*product, false))
            }
            Keyed::Replayed(product) => Ok((*product, true)),
            Keyed::Refused => Err(Error::SkuTaken),
            Keyed::OtherBody => Err(Error::OtherBody),
        }
    }
}

/// A `UUIDv7` of that moment.
fn new_id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}
