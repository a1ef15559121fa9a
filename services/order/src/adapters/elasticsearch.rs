//! Products and orders on Elasticsearch or OpenSearch.
//!
//! Words are found by their beginnings, and from the second letter on also where they are misspelt. The relevance is the
//! server's BM25, in which a word counts four times in sku and three times in name; a mere beginning counts less than a
//! word, and by the same amount wherever it stands.
//! What is in stock is not in the index: a sale changes no version, so nothing would say which number is the later one.

mod documents;
mod query;

use async_trait::async_trait;
use elasticsearch::{Client, Document, Error, Hits, Index};
use serde_json::Value;
use uuid::Uuid;

use crate::app::ports::search::{
    Batch, Build, Facet, Found, Indexed, OrderSearch, ProductSearch, Rank, SearchError, SearchProducts, SearchServer,
};

/// What the indices are built with.
const PRODUCTS: &str = include_str!("../../search/products.json");
const ORDERS: &str = include_str!("../../search/orders.json");

/// The indices of products and orders.
#[derive(Debug, Clone)]
pub struct Indices {
    products: Index,
    orders: Index,
}

impl Indices {
    /// The indices on a server.
    ///
    /// # Errors
    /// The schemas that come with the service cannot be read.
    pub fn new(client: &Client) -> Result<Self, serde_json::Error> {
        let index = |of: Indexed, schema: &str| -> Result<Index, serde_json::Error> {
            Ok(Index::new(client.clone(), of.name(), serde_json::from_str(schema)?))
        };
        Ok(Self { products: index(Indexed::Products, PRODUCTS)?, orders: index(Indexed::Orders, ORDERS)? })
    }

    fn index(&self, of: Indexed) -> &Index {
        match of {
            Indexed::Products => &self.products,
            Indexed::Orders => &self.orders,
        }
    }

    /// Lets searches see what has been written, which they do by themselves after a second.
    ///
    /// # Errors
    /// The server does not answer, or there is no index.
    pub async fn refresh(&self, of: Indexed) -> Result<(), SearchError> {
        Ok(self.index(of).refresh().await?)
    }
}

#[async_trait]
impl SearchProducts for Indices {
    async fn search_products(&self, search: &ProductSearch) -> Result<Found, SearchError> {
        let hits = self.products.search(&query::products(search)).await?;
        found(hits, &["currency", "price"])
    }
}

#[async_trait]
impl SearchServer for Indices {
    async fn search_orders(&self, search: &OrderSearch) -> Result<Found, SearchError> {
        let hits = self.orders.search(&query::orders(search)).await?;
        found(hits, &["status", "currency"])
    }

    async fn put(&self, batch: Batch<'_>) -> Result<(), SearchError> {
        let (of, documents) = documents(batch);
        Ok(self.index(of).put(&documents).await?)
    }

    async fn exists(&self, of: Indexed) -> Result<bool, SearchError> {
        Ok(self.index(of).exists().await?)
    }

    async fn build(&self, of: Indexed) -> Result<Build, SearchError> {
        let elasticsearch::Build { index, after } = self.index(of).build().await?;
        Ok(Build { of, index, after })
    }

    async fn fill(&self, build: &Build, batch: Batch<'_>, mark: &str) -> Result<(), SearchError> {
        let (_, documents) = documents(batch);
        Ok(self.index(build.of).fill(&build.index, &documents, mark).await?)
    }

    async fn finish(&self, build: Build) -> Result<(), SearchError> {
        Ok(self.index(build.of).finish(&build.index).await?)
    }
}

fn documents(batch: Batch<'_>) -> (Indexed, Vec<Document>) {
    match batch {
        Batch::Products(products) => (Indexed::Products, products.iter().map(documents::product).collect()),
        Batch::Orders(orders) => (Indexed::Orders, orders.iter().map(documents::order).collect()),
    }
}

fn found(hits: Hits, facets: &[&'static str]) -> Result<Found, SearchError> {
    let rank = |hit: elasticsearch::Hit| {
        let key = hit.sort.first().and_then(Value::as_f64).ok_or_else(|| unreadable("sort"))?;
        Ok(Rank { key, id: Uuid::try_parse(&hit.id).map_err(|_| unreadable("id"))? })
    };
    let ranks = hits.hits.into_iter().map(rank).collect::<Result<_, SearchError>>()?;
    let counts = |name: &str| {
        let buckets = hits.aggregations[name]["buckets"].as_array().into_iter().flatten();
        let counts =
            buckets.filter_map(|bucket| Some((bucket["key"].as_str()?.to_owned(), bucket["doc_count"].as_u64()?)));
        counts.filter(|(_, n)| *n > 0).collect()
    };
    let facets = facets.iter().map(|name| Facet { name, counts: counts(name) }).collect();
    Ok(Found { ranks, total: hits.total, facets })
}

/// An answer without what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("a document that was found has no {0}")]
struct Unreadable(&'static str);

fn unreadable(what: &'static str) -> SearchError {
    SearchError::Failed(Unreadable(what).into())
}

impl From<Error> for SearchError {
    fn from(error: Error) -> Self {
        if error.is_unavailable() { Self::Unavailable(error.into()) } else { Self::Failed(error.into()) }
    }
}
