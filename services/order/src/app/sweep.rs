//! The sweeper: advances orders that nobody else has carried on.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use lock::Locks;
use resilience::Outage;
use tokio_util::sync::CancellationToken;

use super::{
    App, Error, origin,
    ports::{After, Unreadable},
};
use crate::domain::order::Order;

/// How often due orders are looked for.
const PERIOD: Duration = Duration::from_secs(1);
/// Orders read at a time.
const BATCH: u32 = 100;
/// Orders advanced at the same time.
const CONCURRENCY: usize = 8;

/// How often the sagas under way are counted.
const COUNT_PERIOD: Duration = Duration::from_secs(10);
/// Sagas that are counted; of more it is known that they are as many.
const MAX_COUNTED: u32 = 10_000;

/// How long an order that cannot be read is set aside: another version of this service may be able to.
const ASIDE: Duration = Duration::from_mins(1);

/// Held by whoever sweeps. It only saves work: two sweepers at once do no harm, because advancing is idempotent.
const LOCK: &str = "order/sweep";

/// Advances orders that are due, again and again until the token is cancelled, and counts the sagas under way.
pub async fn run(app: Arc<App>, locks: Locks, token: CancellationToken) {
    // Beside the sweeps, which do not end while there is a backlog.
    tokio::select! {
        () = sweep_until_cancelled(&app, &locks, &token) => {}
        () = count_sagas(&app) => {}
    }
}

async fn count_sagas(app: &App) {
    let mut ticks = tokio::time::interval(COUNT_PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.count_sagas().await;
    }
}

async fn sweep_until_cancelled(app: &App, locks: &Locks, token: &CancellationToken) {
    let (mut ticks, outage) = (tokio::time::interval(PERIOD), Outage::default());
    // After a sweep that took longer than the period, the next one does not follow at once.
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = ticks.tick() => {}
        }
        match app.sweep_if_due(locks, token).await {
            Ok(()) => {
                if let Some(failures) = outage.ended() {
                    tracing::info!(failures, "the orders that are due can be read again");
                }
            }
            Err(error) => {
                if let Some(failures) = outage.failed() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, failures, "cannot read the orders that are due");
                }
            }
        }
    }
}

async fn sweep_with_lock(app: &App, locks: &Locks, token: &CancellationToken) -> Result<(), Error> {
    let guard = match locks.try_lock(LOCK).await {
        Ok(Some(guard)) => Some(guard),
        // Another instance is sweeping.
        Ok(None) => return Ok(()),
        // Orders must not wait for the lock's store to come back.
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "sweeping without the lock");
            None
        }
    };
    let swept = app.sweep_all(token).await;
    drop(guard);
    swept
}

impl App {
    /// Measures the sagas under way, in each process: whoever reads it takes the highest number.
    async fn count_sagas(&self) {
        match self.orders.sagas(MAX_COUNTED).await {
            Ok(sagas) => self.metrics.sagas(&sagas, &self.clock),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "cannot count the sagas under way"),
        }
    }

    /// Without the lock where there is nothing to do: most ticks find nothing, and then the lock's store is not asked either.
    async fn sweep_if_due(&self, locks: &Locks, token: &CancellationToken) -> Result<(), Error> {
        if self.orders.due(self.clock.now(), 1).await?.is_empty() {
            return Ok(());
        }
        sweep_with_lock(self, locks, token).await
    }

    async fn sweep_all(&self, token: &CancellationToken) -> Result<(), Error> {
        // A batch that is not full was the last; after a full one there may be more at once.
        while !token.is_cancelled() && self.sweep(token).await? == BATCH as usize {}
        Ok(())
    }

    /// Advances one batch of orders that are due, each in a trace of its own that is
    /// linked to the request that placed it, and says how many there were.
    ///
    /// An order is not marked as taken: it is due until its saga has moved on
    /// or it was postponed, so nothing is lost when this process dies meanwhile.
    ///
    /// # Errors
    /// The store failed. An order that cannot be read or advanced holds up no other.
    pub async fn sweep(&self, token: &CancellationToken) -> Result<usize, Error> {
        let (mut due, mut unreadable) = (Vec::new(), Vec::new());
        for row in self.orders.due(self.clock.now(), BATCH).await? {
            match row {
                Ok(order) => due.push(order),
                Err(row) => unreadable.push(row),
            }
        }
        // First, so that they do not take the places of others in the next batch.
        let set_aside = self.put_aside(unreadable).await;
        let count = due.len() + set_aside.as_ref().copied().unwrap_or_default();
        stream::iter(due)
            .take_until(token.cancelled())
            .for_each_concurrent(CONCURRENCY, |order| self.sweep_one(order))
            .await;
        set_aside.map(|_| count)
    }

    /// Sets aside what cannot be read, and says how many that were.
    async fn put_aside(&self, unreadable: Vec<Unreadable<After>>) -> Result<usize, Error> {
        let (now, mut count) = (self.clock.now(), 0);
        for row in unreadable {
            self.set_aside.note::<Order>(&row);
            if let Some(key) = row.key {
                self.orders.set_aside(key.id, now, now + ASIDE).await?;
                count += 1;
            }
        }
        Ok(count)
    }

    async fn sweep_one(&self, order: Order) {
        let span = tracing::info_span!("order.sweep", order.id = %order.id);
        let carrier = origin::carrier(&order.origin);
        // By its id: what was read with the batch may be old by now.
        telemetry::background(&carrier, None, span, self.advance_or_postpone(order.id)).await;
    }
}
