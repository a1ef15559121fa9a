//! Orders to be looked after at once, behind the back of the request that moved them.
//!
//! The queue is only a short cut: what it cannot take, and what is in it when
//! the process dies, is found by the sweeper.

use std::sync::Arc;

use futures::{StreamExt, stream};
use telemetry::Carrier;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::ids::OrderId;

/// Orders that may wait in the queue.
const CAPACITY: usize = 1024;
/// Orders looked after at the same time.
const CONCURRENCY: usize = 8;

type Entry = (OrderId, Carrier);

/// The sending end of the queue.
#[derive(Debug, Clone)]
pub struct FollowUps(mpsc::Sender<Entry>);

/// The end of the queue where the work is done.
#[derive(Debug)]
pub struct Worker(mpsc::Receiver<Entry>);

/// Makes a queue.
pub fn queue() -> (FollowUps, Worker) {
    let (sender, receiver) = mpsc::channel(CAPACITY);
    (FollowUps(sender), Worker(receiver))
}

impl FollowUps {
    /// Has the order looked after soon. Never waits.
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
                    telemetry::scope(&carrier, None, span, app.look_after(id)).await;
                }
            })
            .await;
    }
}

impl App {
    /// Runs the saga of an order that nobody waits for, and puts the next look
    /// at it off if it is stuck.
    pub(super) async fn look_after(&self, id: OrderId) {
        match self.advance(id, None).await {
            Ok(Some(advanced)) => {
                if let Some(why) = advanced.blocked {
                    self.put_off(advanced.order, &why).await;
                }
            }
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(order.id = %id, error = %error, "cannot look after an order now");
            }
        }
    }

    async fn put_off(&self, mut order: crate::domain::order::Order, why: &super::ports::PaymentError) {
        let next = order.postpone(self.clock.now());
        let attempts = next.map_or(0, |next| next.attempts);
        if matches!(why, super::ports::PaymentError::Failed(_)) {
            tracing::error!(order.id = %order.id, attempts, error = %why, "an order is stuck");
        } else {
            tracing::info!(order.id = %order.id, attempts, error = %why, "an order waits for payment");
        }
        if let Err(error) = self.orders.postpone(&order).await {
            tracing::warn!(order.id = %order.id, error = %error, "cannot put an order off");
        }
    }
}
