//! Keeping the indices of the search server: what changed is read from the store and written as it is there.
//!
//! What is written has the store's version, and an index keeps the highest: it does not matter in which order events
//! come, how often, or how long somebody was suspended between reading and writing.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::oneshot;

use super::{
    App, Error,
    ports::{
        StoreError,
        search::{Batch, SearchError},
    },
};
use crate::domain::ids::{OrderId, ProductId};

/// How long orders are gathered that are indexed together: as long as an order is pending, most of the time, which is then
/// indexed once. The server itself shows what it has after a second.
const GATHERING: Duration = Duration::from_millis(50);
/// So many do not wait for more.
const FULL: usize = 32;
/// Orders whose indexed version is remembered.
const REMEMBERED: usize = 1_024;

/// Indexes what events tell of; of orders what comes within a moment together.
pub struct Indexer {
    app: Arc<App>,
    waiting: Mutex<Vec<Waiting>>,
    /// Whoever has it gathers.
    gathering: tokio::sync::Mutex<()>,
    indexed: Mutex<VecDeque<(OrderId, u64)>>,
}

/// An order that is to be indexed, and whom to tell when it is.
struct Waiting {
    order: OrderId,
    done: oneshot::Sender<Result<(), Away>>,
}

/// What is needed is away: whoever came with the others is told, and does not find it out again.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the store or the search server was away for all that were to be indexed together")]
struct Away;

impl Indexer {
    /// Indexes what these use cases store.
    pub fn new(app: Arc<App>) -> Self {
        Self { app, waiting: Mutex::default(), gathering: tokio::sync::Mutex::default(), indexed: Mutex::default() }
    }

    /// Indexes a product as it is stored.
    ///
    /// # Errors
    /// The store or the search server failed.
    pub async fn product(&self, id: ProductId) -> Result<(), Error> {
        match self.app.products.get(id).await? {
            Some(product) => self.put(Batch::Products(&[product])).await,
            None => Ok(()),
        }
    }

    /// Indexes an order as it is stored, where that version or a later one has not been indexed here before.
    ///
    /// # Errors
    /// The store or the search server failed.
    pub async fn order(&self, id: OrderId, version: u64) -> Result<(), Error> {
        if locked(&self.indexed).iter().rev().any(|(order, indexed)| *order == id && *indexed >= version) {
            return Ok(());
        }
        let (done, mut indexed) = oneshot::channel();
        locked(&self.waiting).push(Waiting { order: id, done });
        // Biased to the answer: whoever was indexed with others must not begin to gather.
        let gathering = tokio::select! {
            biased;
            told = &mut indexed => return self.told(id, told.ok()).await,
            gathering = self.gathering.lock() => gathering,
        };
        if locked(&self.waiting).len() < FULL {
            tokio::time::sleep(GATHERING).await;
        }
        let waiting = std::mem::take(&mut *locked(&self.waiting));
        self.together(waiting).await;
        drop(gathering);
        self.told(id, indexed.try_recv().ok()).await
    }

    /// Does what is left to do once the others have been indexed, or not.
    async fn told(&self, id: OrderId, told: Option<Result<(), Away>>) -> Result<(), Error> {
        match told {
            Some(Ok(())) => Ok(()),
            Some(Err(away)) => Err(SearchError::Unavailable(away.into()).into()),
            None => self.alone(id).await,
        }
    }

    /// Indexes orders, and tells those of whom that is known. The others try by themselves: what one of them cannot be read for
    /// or is refused for is no fault of the rest.
    async fn together(&self, waiting: Vec<Waiting>) {
        let mut ids: Vec<OrderId> = waiting.iter().map(|waiting| waiting.order).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < 2 {
            return;
        }
        let orders: Vec<_> = match self.app.orders.get_many(&ids).await {
            Ok(rows) => rows.into_iter().flatten().collect(),
            Err(StoreError::Unavailable(_)) => return tell(waiting, |_| Some(Err(Away))),
            Err(_) => return,
        };
        match self.put(Batch::Orders(&orders)).await {
            Ok(()) => {}
            Err(Error::Search(SearchError::Unavailable(_))) => return tell(waiting, |_| Some(Err(Away))),
            Err(_) => return,
        }
        let versions: HashMap<OrderId, u64> = orders.iter().map(|order| (order.id, order.version)).collect();
        for (order, version) in &versions {
            self.remember(*order, *version);
        }
        tell(waiting, |order| versions.contains_key(&order).then_some(Ok(())));
    }

    async fn alone(&self, id: OrderId) -> Result<(), Error> {
        let Some(order) = self.app.orders.get(id).await? else { return Ok(()) };
        let version = order.version;
        self.put(Batch::Orders(&[order])).await?;
        self.remember(id, version);
        Ok(())
    }

    fn remember(&self, order: OrderId, version: u64) {
        let mut indexed = locked(&self.indexed);
        if indexed.len() == REMEMBERED {
            indexed.pop_front();
        }
        indexed.push_back((order, version));
    }

    async fn put(&self, batch: Batch<'_>) -> Result<(), Error> {
        match &self.app.search.server {
            Some(server) => Ok(server.put(batch).await?),
            None => Ok(()),
        }
    }
}

/// Tells those of whom something is known; whoever waits no longer is delivered the event again.
fn tell(waiting: Vec<Waiting>, known: impl Fn(OrderId) -> Option<Result<(), Away>>) {
    for Waiting { order, done } in waiting {
        if let Some(known) = known(order) {
            let _ = done.send(known);
        }
    }
}

fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
