//! Searching products and orders, and keeping the index of a search server.

use std::collections::BTreeMap;

use async_trait::async_trait;
use money::Currency;
use uuid::Uuid;

use super::{Source, StoreError};
use crate::domain::{
    ids::{ProductId, UserId},
    order::Order,
    product::Product,
    search::Query,
    status::Status,
};

/// The prices at which the facet `price` has its steps, in minor units.
pub const PRICE_STEPS: [i64; 4] = [1_000, 2_500, 5_000, 10_000];
/// No more are counted of what a search finds.
pub const MAX_COUNTED: u64 = 10_000;

/// Why nothing was searched or indexed.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Who searches does not answer, or there is no index yet; a retry may help.
    #[error("the search does not answer")]
    Unavailable(#[source] Source),
    /// It refused, or gave an answer that cannot be read.
    #[error("the search failed")]
    Failed(#[source] Source),
}

impl From<StoreError> for SearchError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::Unavailable(error.into()),
            StoreError::Failed(_) => Self::Failed(error.into()),
        }
    }
}

/// What products come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProductSort {
    /// How well they fit what is searched for, as the search understands it.
    #[default]
    Relevance,
    /// The price, the lowest first.
    PriceUp,
    /// The price, the highest first.
    PriceDown,
    /// When they came into the catalogue, the latest first.
    Newest,
}

/// What orders come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OrderSort {
    /// When they were placed, the latest first.
    #[default]
    Newest,
    /// When they were placed, the earliest first.
    Oldest,
    /// The total, the lowest first.
    TotalUp,
    /// The total, the highest first.
    TotalDown,
}

/// Where something that was found stands: the next page begins after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rank {
    /// What is sorted by. Every number that is sorted by is less than 2^53, so that nothing of it is lost.
    pub key: f64,
    /// Its id, by which those with the same key come.
    pub id: Uuid,
}

/// Which products are searched for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ProductSearch {
    /// Words that sku, name or description have, or that begin so: all of them.
    pub query: Query,
    /// Only those with a price in this currency.
    pub currency: Option<Currency>,
    /// The lowest price, in minor units.
    pub min_price: Option<i64>,
    /// The highest price, in minor units.
    pub max_price: Option<i64>,
    /// What they come by.
    pub sort: ProductSort,
    /// Where the page begins.
    pub after: Option<Rank>,
    /// How many are asked for.
    pub limit: u32,
}

/// Which orders are searched for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderSearch {
    /// Words that the names of what was ordered have, or that begin so: all of them.
    pub query: Query,
    /// Only those with one of these statuses; with none, all.
    pub statuses: Vec<Status>,
    /// Only this person's.
    pub user: Option<UserId>,
    /// Only those with this product.
    pub product: Option<ProductId>,
    /// What they come by.
    pub sort: OrderSort,
    /// Where the page begins.
    pub after: Option<Rank>,
    /// How many are asked for.
    pub limit: u32,
}

/// How many of all that was found have each value of something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facet {
    /// Of what.
    pub name: &'static str,
    /// The values that there are, and how many have each.
    pub counts: Vec<(String, u64)>,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Found {
    /// The page: ids, and where each stands.
    pub ranks: Vec<Rank>,
    /// How many there are in all, [`MAX_COUNTED`] at most.
    pub total: u64,
    /// What they have in common.
    pub facets: Vec<Facet>,
}

impl Found {
    /// The facets of products, and how many there are, of how many there are by currency and step of the price: the
    /// number of [`PRICE_STEPS`] that it is not below.
    pub fn of_products(ranks: Vec<Rank>, groups: &[(String, usize, u64)]) -> Self {
        let mut currencies: BTreeMap<&str, u64> = BTreeMap::new();
        let mut steps = [0; PRICE_STEPS.len() + 1];
        for (currency, step, n) in groups {
            *currencies.entry(currency).or_default() += n;
            if let Some(step) = steps.get_mut(*step) {
                *step += n;
            }
        }
        let prices = price_steps().zip(steps).filter(|(_, n)| *n > 0);
        let facets = vec![
            Facet { name: "currency", counts: currencies.into_iter().map(|(code, n)| (code.to_owned(), n)).collect() },
            Facet { name: "price", counts: prices.map(|((from, to), n)| (price_step(from, to), n)).collect() },
        ];
        Self { ranks, total: steps.iter().sum::<u64>().min(MAX_COUNTED), facets }
    }
}

/// The values of the facet `price`, the lowest first: from where, and up to where.
pub fn price_steps() -> impl Iterator<Item = (Option<i64>, Option<i64>)> {
    let (from, to) = (PRICE_STEPS.map(Some), PRICE_STEPS.map(Some));
    [None].into_iter().chain(from).zip(to.into_iter().chain([None]))
}

/// How a value of the facet `price` is written: `1000-2499`.
pub fn price_step(from: Option<i64>, to: Option<i64>) -> String {
    format!("{}-{}", from.unwrap_or_default(), to.map(|to| (to - 1).to_string()).unwrap_or_default())
}

/// Searches products.
#[async_trait]
pub trait SearchProducts: Send + Sync {
    /// Those that all words and filters fit. How `Relevance` comes about is each adapter's own.
    async fn search_products(&self, search: &ProductSearch) -> Result<Found, SearchError>;
}

/// What has an index of its own on a search server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Indexed {
    /// The catalogue.
    Products,
    /// The orders.
    Orders,
}

impl Indexed {
    /// Every index.
    pub const ALL: [Self; 2] = [Self::Products, Self::Orders];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Products => "products",
            Self::Orders => "orders",
        }
    }
}

/// What is written into an index.
#[derive(Debug, Clone, Copy)]
pub enum Batch<'a> {
    /// Into that of the products.
    Products(&'a [Product]),
    /// Into that of the orders.
    Orders(&'a [Order]),
}

/// An index that is being built from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Which.
    pub of: Indexed,
    /// How the adapter finds it again.
    pub index: String,
    /// Where an interrupted build had come to: the mark of its last [`SearchServer::fill`].
    pub after: Option<String>,
}

/// A server with an index of products and one of orders, each of which holds what it is given by its version: the highest
/// stays, whatever comes last.
#[async_trait]
pub trait SearchServer: SearchProducts {
    /// Those orders that all words and filters fit.
    async fn search_orders(&self, search: &OrderSearch) -> Result<Found, SearchError>;

    /// Writes to the index in use and to the one that is being built; where there is none of them, nowhere.
    async fn put(&self, batch: Batch<'_>) -> Result<(), SearchError>;

    /// Whether there is an index in use.
    async fn exists(&self, of: Indexed) -> Result<bool, SearchError>;

    /// Begins to build an index, or carries on an interrupted build. From now on [`Self::put`] writes to it as well: what
    /// the store has is to be read after this.
    async fn build(&self, of: Indexed) -> Result<Build, SearchError>;

    /// Writes what the store has, and remembers the mark.
    async fn fill(&self, build: &Build, batch: Batch<'_>, mark: &str) -> Result<(), SearchError>;

    /// Puts what was built into the place of the index in use, in one step.
    async fn finish(&self, build: Build) -> Result<(), SearchError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_has_its_step() {
        let steps: Vec<String> = price_steps().map(|(from, to)| price_step(from, to)).collect();
        assert_eq!(steps, ["0-999", "1000-2499", "2500-4999", "5000-9999", "10000-"]);
    }
}
