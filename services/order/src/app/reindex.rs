//! Building an index from the store, beside the one in use and while others write.

use std::{sync::Arc, time::Duration};

use clock::{from_micros, micros};
use lock::Locks;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    App, Error,
    ports::{
        After, Listed, Owner,
        search::{Batch, Build, Indexed, SearchServer},
    },
};
use crate::domain::{ids::OrderId, order::Order, product::Product, values::Sku};

/// Documents written at a time: up to 10 MB of products with the longest descriptions.
const BATCH: u32 = 500;
/// How often it is looked whether there is an index.
const PERIOD: Duration = Duration::from_secs(10);
/// Held by whoever builds a missing index. It only saves work: two that build do no harm.
const LOCK: &str = "order/reindex";

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is indexed.
    pub of: Indexed,
    /// How many are indexed by this build, not by one that was interrupted.
    pub done: u64,
    /// Whether it carries on a build that was interrupted.
    pub resumed: bool,
    /// Whether the index is in use now.
    pub finished: bool,
}

/// Builds indices that are missing, until the token is cancelled: those of a server that is new, or that has lost them.
pub async fn run(app: Arc<App>, server: Arc<dyn SearchServer>, locks: Locks, token: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = ticks.tick() => {}
        }
        for of in Indexed::ALL {
            let built = token.run_until_cancelled(app.build_missing(&*server, &locks, of)).await;
            if let Some(Err(error)) = built {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(search.index = of.name(), error, "cannot look after the index now");
            }
        }
    }
}

impl App {
    async fn build_missing(&self, server: &dyn SearchServer, locks: &Locks, of: Indexed) -> Result<(), Error> {
        if server.exists(of).await? {
            return Ok(());
        }
        let guard = match locks.try_lock(LOCK).await {
            Ok(Some(guard)) => Some(guard),
            // Another instance is building.
            Ok(None) => return Ok(()),
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "building without the lock");
                None
            }
        };
        tracing::info!(search.index = of.name(), "there is no index: it is built from the store");
        let documents = self.reindex(of, |_| {}).await?;
        tracing::info!(search.index = of.name(), documents, "the index is built");
        drop(guard);
        Ok(())
    }

    /// Builds an index from what is stored and puts it into the place of the one in use. What changes meanwhile is written
    /// to both. An interrupted build is carried on. Returns how many documents were written.
    ///
    /// # Errors
    /// There is no search server, or it or the store failed: the build may be carried on.
    pub async fn reindex(&self, of: Indexed, report: impl Fn(Progress) + Send) -> Result<u64, Error> {
        let server = self.search.server.as_deref().ok_or(Error::SearchUnavailable)?;
        let build = server.build(of).await?;
        let mut progress = Progress { of, done: 0, resumed: build.after.is_some(), finished: false };
        report(progress);
        let mut mark = build.after.clone();
        loop {
            let (n, last) = match of {
                Indexed::Products => self.fill_products(server, &build, mark.as_deref()).await?,
                Indexed::Orders => self.fill_orders(server, &build, mark.as_deref()).await?,
            };
            progress.done += n;
            report(progress);
            match last {
                Some(last) => mark = Some(last),
                None => break,
            }
        }
        server.finish(build).await?;
        report(Progress { finished: true, ..progress });
        Ok(progress.done)
    }

    /// Writes the next products by article number; says how many, and the mark if there may be more.
    async fn fill_products(
        &self,
        server: &dyn SearchServer,
        build: &Build,
        mark: Option<&str>,
    ) -> Result<(u64, Option<String>), Error> {
        let after = mark.and_then(|mark| Sku::parse(mark).ok());
        let read = |after, limit| self.products.list(&[], after, limit);
        let products: Vec<Product> = self.set_aside.list(BATCH, after, read).await?;
        let Some(last) = products.last().map(|product| product.key().to_string()) else { return Ok((0, None)) };
        server.fill(build, Batch::Products(&products), &last).await?;
        Ok((products.len() as u64, (products.len() == BATCH as usize).then_some(last)))
    }

    /// Writes the next orders, from the newest to the oldest; those that are placed meanwhile come by their events.
    async fn fill_orders(
        &self,
        server: &dyn SearchServer,
        build: &Build,
        mark: Option<&str>,
    ) -> Result<(u64, Option<String>), Error> {
        let read = |after, limit| self.orders.list(Owner::All, after, limit);
        let orders: Vec<Order> = self.set_aside.list(BATCH, mark.and_then(order_mark), read).await?;
        let Some(last) = orders.last() else { return Ok((0, None)) };
        let last = format!("{} {}", micros(last.created_at), last.id);
        server.fill(build, Batch::Orders(&orders), &last).await?;
        Ok((orders.len() as u64, (orders.len() == BATCH as usize).then_some(last)))
    }
}

fn order_mark(mark: &str) -> Option<After> {
    let (created_at, id) = mark.split_once(' ')?;
    Some(After { created_at: from_micros(created_at.parse().ok()?), id: OrderId(Uuid::try_parse(id).ok()?) })
}
