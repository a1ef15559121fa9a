//! Adding a product to the catalogue.

use time::OffsetDateTime;
use tracing::instrument;
use uuid::{NoContext, Timestamp, Uuid};

use super::{
    App, Error,
    ports::{CommandKey, Idempotent},
    published,
};
use crate::domain::{
    event::ProductEvent,
    ids::ProductId,
    product::Product,
    values::{Description, Name, Price, Sku, Stock},
};

/// A product to be added.
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
    /// Adds a product, once per key; says whether this is a replay.
    ///
    /// # Errors
    /// The article number is taken, the key was used with another body, or the store failed.
    #[instrument(skip_all)]
    pub async fn create_product(&self, new: NewProduct, key: &CommandKey) -> Result<(Product, bool), Error> {
        let now = self.clock.now();
        let product = new.at(now);
        let created = published::product_event(&product, ProductEvent::Created, now)?;
        let created = self.products.create(&product, Some(key), vec![created]).await;
        // That there is no product with this id may be cached, and the first page without it. Also after an error: it may
        // have been stored all the same, by this or an earlier request.
        self.product_cache.invalidate(product.id).await;
        match created? {
            Idempotent::Done(product) => Ok((*product, false)),
            Idempotent::Replayed(product) => Ok((*product, true)),
            Idempotent::Refused => Err(Error::SkuTaken),
            Idempotent::KeyReused => Err(Error::KeyReused),
        }
    }
}

/// A `UUIDv7` of that moment.
fn new_id(now: OffsetDateTime) -> Uuid {
    let seconds = u64::try_from(now.unix_timestamp()).unwrap_or_default();
    Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, now.nanosecond()))
}
