//! Products that were looked at lately.

use std::time::Duration;

use cache::{Cache, LoadError, Policy};
use clock::{from_micros, micros};
use futures::{StreamExt as _, stream};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};

use super::ports::{Products, StoreError};
use crate::domain::{
    ids::ProductId,
    order::Order,
    product::Product,
    values::{Description, Name, Price, Sku},
};

/// How many copies are dropped at the same time.
const WIDTH: usize = 8;

/// Copies of products, for those who only look. Who orders or changes one asks the store.
///
/// A copy is dropped by whatever changes its product, so that who looks afterwards sees the change; it lives for ten
/// seconds in case a process was killed, or a request given up, before it could drop it. While the store does not answer an old one serves.
pub struct Shelf(Cache<ProductId, Copy>);

/// A product as it is cached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Copy {
    id: uuid::Uuid,
    sku: String,
    name: String,
    description: String,
    price: i64,
    currency: String,
    available: i64,
    version: u64,
    created_at: i64,
    updated_at: i64,
}

impl Copy {
    fn of(product: &Product) -> Self {
        let money = product.price.money();
        Self {
            id: product.id.0,
            sku: product.sku.as_str().to_owned(),
            name: product.name.as_str().to_owned(),
            description: product.description.as_str().to_owned(),
            price: money.amount,
            currency: money.currency.code().to_owned(),
            available: product.available,
            version: product.version,
            created_at: micros(product.created_at),
            updated_at: micros(product.updated_at),
        }
    }

    /// The product; `None` when today's rules no longer admit it.
    fn product(self) -> Option<Product> {
        let currency = Currency::parse(&self.currency).ok()?;
        Some(Product {
            id: ProductId(self.id),
            sku: Sku::parse(&self.sku).ok()?,
            name: Name::parse(&self.name).ok()?,
            description: Description::parse(&self.description).ok()?,
            price: Price::parse(Money::new(self.price, currency)).ok()?,
            available: self.available,
            version: self.version,
            created_at: from_micros(self.created_at),
            updated_at: from_micros(self.updated_at),
        })
    }
}

impl Shelf {
    /// How long copies live.
    pub fn policy() -> Policy {
        Policy { ttl: Duration::from_secs(10), negative_ttl: Duration::from_secs(5), ..Policy::default() }
    }

    /// Keeps copies in `cache`, which should have [`Shelf::policy`].
    pub fn new(cache: Cache<ProductId, Copy>) -> Self {
        Self(cache)
    }

    /// The product with that id, as it was a moment ago.
    pub(super) async fn look(&self, id: ProductId, products: &dyn Products) -> Result<Option<Product>, StoreError> {
        let load = || async { Ok(products.get(id).await?.as_ref().map(Copy::of)) };
        // Sales do not raise a product's version, so there is none to compare.
        match self.0.get_or_load(&id, |_| 0, load).await.map_err(not_loaded)?.map(Copy::product) {
            Some(Some(product)) => Ok(Some(product)),
            Some(None) => products.get(id).await,
            None => Ok(None),
        }
    }

    /// Drops the copy of a product that may have changed.
    pub(super) async fn drop_copy(&self, id: ProductId) {
        self.0.invalidate(&id).await;
    }

    /// Drops the copies of an order's products, whose stock may have changed.
    pub(super) async fn drop_ordered(&self, order: &Order) {
        let ids: Vec<_> = order.items.iter().map(|item| item.product).collect();
        stream::iter(ids).for_each_concurrent(WIDTH, |id| self.drop_copy(id)).await;
    }
}

fn not_loaded(error: LoadError<StoreError>) -> StoreError {
    match &error {
        LoadError::Failed(cause) if matches!(**cause, StoreError::Failed(_)) => StoreError::Failed(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}
