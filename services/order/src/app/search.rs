//! Searching products and orders.
//!
//! Who searches says which there are and in which order; what is shown of each is what the store has now. What the store
//! has not, it is not shown, whatever an index says.

use std::{collections::HashMap, sync::Arc};

use resilience::Outage;
use semconv::{attributes::SEARCH_INDEX, metrics};
use uuid::Uuid;

use super::{
    App, Error,
    orders::Caller,
    ports::{
        Listed, Row, StoreError, Unreadable,
        search::{Facet, Found, Indexed, OrderSearch, ProductSearch, Rank, SearchError, SearchProducts, SearchServer},
    },
};
use crate::domain::{
    ids::{OrderId, ProductId},
    order::Order,
    product::Product,
};

/// Who searches.
pub struct Search {
    store: Arc<dyn SearchProducts>,
    pub(super) server: Option<Arc<dyn SearchServer>>,
    outage: Outage,
}

impl Search {
    /// Searches on a server, where there is one, else in the store itself.
    pub fn new(store: Arc<dyn SearchProducts>, server: Option<Arc<dyn SearchServer>>) -> Self {
        if server.is_some() {
            // There from the start: of a counter that is born with its first failure nobody sees that one.
            for of in Indexed::ALL {
                metrics::ORDER_SEARCH_FAILURES.instrument().add(0, &[SEARCH_INDEX.of(of.name())]);
            }
        }
        Self { store, server, outage: Outage::default() }
    }

    /// The search server, where there is one.
    pub fn server(&self) -> Option<Arc<dyn SearchServer>> {
        self.server.clone()
    }

    /// Counts an answer of the server, and says when it begins and when it ends that there is none.
    fn answered(&self, of: Indexed, answer: Result<Found, SearchError>) -> Option<Found> {
        match answer {
            Ok(found) => {
                if let Some(failures) = self.outage.ended() {
                    tracing::info!(failures, "the search server answers again");
                }
                Some(found)
            }
            Err(error) => {
                metrics::ORDER_SEARCH_FAILURES.instrument().add(1, &[SEARCH_INDEX.of(of.name())]);
                if let Some(failures) = self.outage.failed() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(search.index = of.name(), error, failures, "the search server does not answer");
                }
                None
            }
        }
    }
}

/// Who has searched: the next page has to come from the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searcher {
    /// The store itself, by its own text index.
    Store,
    /// The search server.
    Server,
}

/// A page of what was found.
#[derive(Debug)]
pub struct Searched<T> {
    /// What there is of it in the store, in order, and where each stands.
    pub items: Vec<(T, Rank)>,
    /// How many there are in all, as far as they are counted.
    pub total: u64,
    /// What they have in common.
    pub facets: Vec<Facet>,
    /// Where the next page begins, if there is one.
    pub next: Option<Rank>,
    /// Who has searched.
    pub by: Searcher,
}

impl App {
    /// Searches products: on the search server where there is one, else, or while it does not answer, in the store.
    /// `began` is who has found the page before.
    ///
    /// # Errors
    /// The store failed, or the server has found the page before and does not answer.
    pub async fn search_products(
        &self,
        search: &ProductSearch,
        began: Option<Searcher>,
    ) -> Result<Searched<Product>, Error> {
        let limit = search.limit;
        if search.query.finds_nothing() {
            return Ok(Searched::of(Found::default(), limit, Vec::new(), Searcher::Store));
        }
        // One more than the page holds says whether there is a next one.
        let more = ProductSearch { limit: limit + 1, ..search.clone() };
        if let Some(server) = self.search.server.as_ref().filter(|_| began != Some(Searcher::Store)) {
            let answer = server.search_products(&more).await;
            if let Some(found) = self.search.answered(Indexed::Products, answer) {
                return self.products_found(found, limit, Searcher::Server).await;
            }
        }
        if began == Some(Searcher::Server) {
            return Err(Error::SearchUnavailable);
        }
        let found = self.search.store.search_products(&more).await.map_err(Error::Search)?;
        self.products_found(found, limit, Searcher::Store).await
    }

    /// Searches everybody's orders, for operators.
    ///
    /// # Errors
    /// The caller is none, there is no search server or it does not answer, or the store failed.
    pub async fn search_orders(&self, caller: Caller, search: &OrderSearch) -> Result<Searched<Order>, Error> {
        caller.must_operate()?;
        let server = self.search.server.as_ref().ok_or(Error::SearchUnavailable)?;
        let limit = search.limit;
        if search.query.finds_nothing() {
            return Ok(Searched::of(Found::default(), limit, Vec::new(), Searcher::Server));
        }
        let more = OrderSearch { limit: limit + 1, ..search.clone() };
        let answer = server.search_orders(&more).await;
        let found = self.search.answered(Indexed::Orders, answer).ok_or(Error::SearchUnavailable)?;
        let ids: Vec<OrderId> = found.shown(limit).map(|rank| OrderId(rank.id)).collect();
        let orders = self.readable(self.orders.get_many(&ids).await?);
        Ok(Searched::of(found, limit, orders, Searcher::Server))
    }

    async fn products_found(&self, found: Found, limit: u32, by: Searcher) -> Result<Searched<Product>, Error> {
        let ids: Vec<ProductId> = found.shown(limit).map(|rank| ProductId(rank.id)).collect();
        let products = match self.products.get_many(&ids).await {
            // One of them cannot be read: the others can.
            Err(StoreError::Failed(_)) => {
                let mut rows = Vec::new();
                for id in ids {
                    let read = self.products.get(id).await.map_err(|cause| Unreadable { key: None, cause });
                    rows.extend(read.transpose());
                }
                self.readable(rows)
            }
            products => products?,
        };
        Ok(Searched::of(found, limit, products, by))
    }

    fn readable<T: Listed>(&self, rows: Vec<Row<T>>) -> Vec<T> {
        let read = |row: Row<T>| row.map_err(|unreadable| self.set_aside.note::<T>(&unreadable)).ok();
        rows.into_iter().filter_map(read).collect()
    }

    /// Whether what somebody has found is not what was to be searched.
    pub fn is_degraded(&self, by: Searcher) -> bool {
        by == Searcher::Store && self.search.server.is_some()
    }
}

impl Found {
    /// The page, without the one that only says that there is another.
    fn shown(&self, limit: u32) -> impl Iterator<Item = &Rank> {
        self.ranks.iter().take(limit as usize)
    }
}

/// What has an id by which it is found.
pub trait Identified {
    /// Its id.
    fn id(&self) -> Uuid;
}

impl Identified for Product {
    fn id(&self) -> Uuid {
        self.id.0
    }
}

impl Identified for Order {
    fn id(&self) -> Uuid {
        self.id.0
    }
}

impl<T: Identified> Searched<T> {
    /// Those of the page that the store has, as they were found.
    fn of(found: Found, limit: u32, stored: Vec<T>, by: Searcher) -> Self {
        let mut stored: HashMap<Uuid, T> = stored.into_iter().map(|item| (item.id(), item)).collect();
        let items = found.shown(limit).filter_map(|rank| Some((stored.remove(&rank.id)?, *rank))).collect();
        let has_next = found.ranks.len() > limit as usize;
        let next = found.shown(limit).last().copied().filter(|_| has_next);
        Self { items, next, total: found.total, facets: found.facets, by }
    }
}
