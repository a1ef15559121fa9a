//! The product cache: Cache-Aside for requests that only read the catalogue.

use std::{sync::Arc, time::Duration};

use cache::{Cache, LoadError, Policy, Store};
use clock::{from_micros, micros};
use futures::{FutureExt as _, StreamExt as _, stream};
use money::{Currency, Money};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::ports::{Products, StoreError};
use crate::domain::{
    ids::ProductId,
    order::Order,
    product::Product,
    values::{Description, Name, Price, Sku},
};

/// How many products of an order are invalidated at the same time.
const CONCURRENCY: usize = 8;

/// Cached products, for reading only: whoever orders or changes a product asks the store.
///
/// Whatever changes a product or its stock invalidates it, so that a later read sees the change. Entries live for ten
/// seconds, in case a process was killed or a request given up before it could invalidate. While the store does not
/// answer, a stale entry is served.
///
/// The first page of the whole catalogue is cached as it is answered. Each change of a product invalidates it, and it lives for
/// a second; where it cannot be loaded anew it is served for five more.
pub struct ProductCache {
    products: Cache<ProductId, CachedProduct>,
    first_page: Cache<&'static str, Box<RawValue>>,
}

/// The key of the first page. There is no more than one, of the size that is answered where none is asked for: who asks for
/// many others would fill the store.
const FIRST: &str = "first";

/// A product as it is cached.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CachedProduct {
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

impl CachedProduct {
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

impl ProductCache {
    /// Caches in that store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        let (ttl, negative_ttl) = (Duration::from_secs(10), Duration::from_secs(5));
        let products = Policy { ttl, negative_ttl, ..Policy::default() };
        let first = Policy { ttl: Duration::from_secs(1), stale_for: Duration::from_secs(5), ..Policy::default() };
        Self {
            products: Cache::new("product", Arc::clone(&store), products),
            first_page: Cache::new("products", store, first),
        }
    }

    /// The product with that id, from the cache or from `products`.
    pub(super) async fn get(&self, id: ProductId, products: &dyn Products) -> Result<Option<Product>, StoreError> {
        let load = || async { Ok(products.get(id).await?.as_ref().map(CachedProduct::of)) };
        // Sales do not raise a product's version, so there is none to compare.
        match self.products.get_or_load(&id, |_| 0, load).await.map_err(load_failed)?.map(CachedProduct::product) {
            Some(Some(product)) => Ok(Some(product)),
            // Written by another version of the service.
            Some(None) => products.get(id).await,
            None => Ok(None),
        }
    }

    /// The first page, from the cache or from `load`.
    pub(super) async fn first_page<F>(&self, load: impl FnOnce() -> F) -> Result<Box<RawValue>, StoreError>
    where
        F: Future<Output = Result<Box<RawValue>, StoreError>>,
    {
        let load = || async { load().await.map(Some) };
        let page = self.first_page.get_or_load(&FIRST, |_| 0, load).await.map_err(load_failed)?;
        page.ok_or_else(|| StoreError::Failed("a page was cached as missing".into()))
    }

    /// Invalidates a product that may have changed, and the page that may show it.
    pub(super) async fn invalidate(&self, id: ProductId) {
        self.invalidate_all(vec![id]).await;
    }

    /// Invalidates the products of an order, whose stock may have changed.
    pub(super) fn invalidate_ordered(&self, order: &Order) -> impl Future<Output = ()> + Send + use<'_> {
        self.invalidate_all(order.items.iter().map(|item| item.product).collect())
    }

    async fn invalidate_all(&self, ids: Vec<ProductId>) {
        let removals = ids.iter().map(|id| self.products.invalidate(id).boxed());
        let page = self.first_page.invalidate(&FIRST).boxed();
        stream::iter(removals.chain([page])).for_each_concurrent(CONCURRENCY, |removal| removal).await;
    }
}

fn load_failed(error: LoadError<StoreError>) -> StoreError {
    match &error {
        LoadError::Failed(cause) if matches!(**cause, StoreError::Failed(_)) => StoreError::Failed(error.into()),
        _ => StoreError::Unavailable(error.into()),
    }
}
