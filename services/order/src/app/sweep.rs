//! The sweeper: looks after orders that were left behind.

use std::{sync::Arc, time::Duration};

use futures::{StreamExt, stream};
use lock::Locks;
use telemetry::Carrier;
use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::domain::order::{Order, Origin};

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);
/// Orders at a time.
const BATCH: u32 = 100;
/// Orders looked after at the same time.
const CONCURRENCY: usize = 8;

/// Held by whoever sweeps. Two sweepers do no harm, only the same work.
const LOCK: &str = "order/sweep";

/// Looks after orders that are due, again and again until the token is cancelled.
pub async fn run(app: Arc<App>, locks: Locks, token: CancellationToken) {
    let mut ticks = tokio::time::interval(PERIOD);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = token.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if app.anything_due().await {
            sweep_alone(&app, &locks, &token).await;
        }
    }
}

async fn sweep_alone(app: &App, locks: &Locks, token: &CancellationToken) {
    let guard = match locks.try_lock(LOCK).await {
        Ok(Some(guard)) => Some(guard),
        // Another instance is at it.
        Ok(None) => return,
        Err(error) => {
            tracing::debug!(error = %error, "sweeping without the lock");
            None
        }
    };
    app.sweep_all(token).await;
    drop(guard);
}

impl App {
    async fn anything_due(&self) -> bool {
        match self.orders.due(self.clock.now(), 1).await {
            Ok(due) => !due.is_empty(),
            Err(error) => {
                tracing::warn!(error = %error, "cannot look for orders left behind");
                false
            }
        }
    }

    async fn sweep_all(&self, token: &CancellationToken) {
        // A batch that is not full was the last; else there is more at once.
        while !token.is_cancelled() {
            match self.sweep(token).await {
                Ok(count) if count == BATCH as usize => {}
                Ok(_) => return,
                Err(error) => {
                    tracing::warn!(error = %error, "cannot look for orders left behind");
                    return;
                }
            }
        }
    }

    /// Looks after one batch of orders that are due, each under the trace of
    /// the request that placed it, and says how many there were.
    pub async fn sweep(&self, token: &CancellationToken) -> Result<usize, Error> {
        let due = self.orders.due(self.clock.now(), BATCH).await?;
        let count = due.len();
        stream::iter(due)
            .take_until(token.cancelled())
            .for_each_concurrent(CONCURRENCY, |order| self.sweep_one(order))
            .await;
        Ok(count)
    }

    async fn sweep_one(&self, order: Order) {
        let span = tracing::info_span!("order.sweep", order.id = %order.id);
        let carrier = carrier(&order.origin);
        telemetry::scope(&carrier, None, span, self.look_after(order.id)).await;
    }
}

/// The context of the request that an order comes from.
pub fn carrier(origin: &Origin) -> Carrier {
    Carrier { traceparent: origin.traceparent.clone(), tracestate: origin.tracestate.clone(), canary: origin.canary }
}

/// The context of the running request, to be stored with an order.
pub fn origin() -> Origin {
    let carrier = Carrier::current();
    Origin { traceparent: carrier.traceparent, tracestate: carrier.tracestate, canary: carrier.canary }
}
