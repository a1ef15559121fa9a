//! Orders whose saga goes on right away, in the background, after the request
//! that changed them has been answered.
//!
//! The queue is only a short cut: what it cannot take, and what is in it when
//! the process dies, is found by the sweeper.

use std::sync::Arc;

use futures::{StreamExt, stream};
use telemetry::Carrier;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{App, ports::PaymentError};
use crate::domain::{ids::OrderId, order::Order};

/// Orders that may wait in the queue.
const CAPACITY: usize = 1024;
/// Orders advanced at the same time.
const CONCURRENCY: usize = 8;

type Entry = (OrderId, Carrier);

/// The sending end of the queue.
#[derive(Debug, Clone)]
pub struct FollowUps(mpsc::Sender<Entry>);

/// The receiving end of the queue.
#[derive(Debug)]
pub struct Worker(mpsc::Receiver<Entry>);

/// Makes a queue.
pub fn queue() -> (FollowUps, Worker) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (FollowUps(sender), Worker(receiver))
}

impl FollowUps {
    /// Has the order advanced soon, under the trace of the running request. Never waits.
    pub fn push(&self, id: OrderId) {
        // Full or closed: the sweeper finds it.
        let _ = self.0.try_send((id, Carrier::current()));
    }
}

impl Worker {
    /// Works until the token is cancelled, then finishes what it has begun.
    pub async fn run(self, app: Arc<App>, token: CancellationToken) {
        let entries = stream::unfold(self.0, async |mut queue| {
            let entry = queue.recv().await?;
            Some((entry, queue))
        });
        entries
            .take_until(token.cancelled_owned())
            .for_each_concurrent(CONCURRENCY, |(id, carrier)| {
                let app = Arc::clone(&app);
                async move {
                    let span = tracing::info_span!("order.follow_up", order.id = %id);
                    telemetry::scope(&carrier, None, span, app.advance_or_postpone(id)).await;
                }
            })
            .await;
    }
}

impl App {
    /// Advances an order that no request waits for, and postpones it when
    /// payment does not do its part.
    pub(super) async fn advance_or_postpone(&self, id: OrderId) {
        match self.advance(id, None).await {
            Ok(Some(advanced)) => {
                if let Some(why) = advanced.blocked {
                    self.postpone(advanced.order, &why).await;
                }
            }
            Ok(None) => {}
            // Not postponed: the store failed, and the order is due as before.
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(order.id = %id, error, "cannot advance the order now");
            }
        }
    }

    async fn postpone(&self, mut order: Order, why: &PaymentError) {
        let attempts = order.postpone(self.clock.now()).map_or(0, |schedule| schedule.attempts);
        // An answer outside the contract does not mend itself; one that has not come yet may.
        if matches!(why, PaymentError::Failed(_)) {
            let error = why as &dyn std::error::Error;
            tracing::error!(order.id = %order.id, attempts, error, "the order is stuck");
        } else {
            let error = why as &dyn std::error::Error;
            tracing::info!(order.id = %order.id, attempts, error, "the order waits for payment");
        }
        if let Err(error) = self.orders.postpone(&order).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(order.id = %order.id, error, "cannot postpone the order");
        }
    }
}
