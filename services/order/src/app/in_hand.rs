//! Orders that a request of this process sees through right now, and what has lately been stored of their payments here.
//!
//! Payment answers the request and publishes an event of the same, which is often handled before the answer is stored. Done
//! again then, all would be done twice: payment asked once more, and an order saved over a version that is gone. What
//! another process has in hand is not known here, and costs that much.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use crate::domain::{ids::OrderId, status::PaymentStatus};

/// How long an event waits for a request, which then takes longer than most and is not waited for.
const PATIENCE: Duration = Duration::from_millis(500);
/// Payments that are remembered as stored: of more orders events are not under way at a time, or are handled as usual.
const REMEMBERED: usize = 1_024;

/// What this process has in hand.
#[derive(Debug, Default)]
pub struct InHand(Mutex<Orders>);

#[derive(Debug, Default)]
struct Orders {
    /// A channel closes when the last request that sees its order through has ended.
    runs: HashMap<OrderId, Weak<watch::Sender<()>>>,
    stored: VecDeque<(OrderId, PaymentStatus)>,
}

/// An order is in hand as long as this lives.
pub(super) struct Hand<'a> {
    of: &'a InHand,
    order: OrderId,
    run: Option<Arc<watch::Sender<()>>>,
}

impl InHand {
    fn orders(&self) -> MutexGuard<'_, Orders> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an order in hand; others may have it as well.
    pub(super) fn take(&self, order: OrderId) -> Hand<'_> {
        let mut orders = self.orders();
        let known = orders.runs.get(&order).and_then(Weak::upgrade);
        let run = known.unwrap_or_else(|| {
            let run = Arc::new(watch::Sender::new(()));
            orders.runs.insert(order, Arc::downgrade(&run));
            run
        });
        Hand { of: self, order, run: Some(run) }
    }

    /// Remembers that an order's payment is stored with that status.
    pub(super) fn stored(&self, order: OrderId, payment: PaymentStatus) {
        let stored = &mut self.orders().stored;
        if stored.len() == REMEMBERED {
            stored.pop_front();
        }
        stored.push_back((order, payment));
    }

    /// Whether that has been stored here, once nobody has the order in hand any more.
    pub(super) async fn has_stored(&self, order: OrderId, payment: PaymentStatus) -> bool {
        let run = self.orders().runs.get(&order).and_then(Weak::upgrade).map(|run| run.subscribe());
        if let Some(mut run) = run {
            // It says nothing, and closes.
            let _ = timeout(PATIENCE, run.changed()).await;
        }
        self.orders().stored.iter().rev().any(|known| *known == (order, payment))
    }
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut orders = self.of.orders();
        self.run = None;
        if orders.runs.get(&self.order).is_some_and(|run| run.strong_count() == 0) {
            orders.runs.remove(&self.order);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use uuid::Uuid;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_event_waits_for_all_who_have_its_order_in_hand() {
        let in_hand = InHand::default();
        let [order, other] = [1, 2].map(|n| OrderId(Uuid::from_u128(n)));
        let authorized = |order| in_hand.has_stored(order, PaymentStatus::Authorized);
        assert_eq!(authorized(order).now_or_never(), Some(false));
        let (one, two) = (in_hand.take(order), in_hand.take(order));
        assert_eq!(authorized(other).now_or_never(), Some(false));
        let mut event = std::pin::pin!(authorized(order));
        assert_eq!(event.as_mut().now_or_never(), None);
        in_hand.stored(order, PaymentStatus::Authorized);
        drop(one);
        assert_eq!(event.as_mut().now_or_never(), None);
        drop(two);
        assert!(event.await);
        assert!(in_hand.orders().runs.is_empty());
        assert!(!in_hand.has_stored(order, PaymentStatus::Captured).await, "another status is news");
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_does_not_wait_for_ever() {
        let in_hand = InHand::default();
        let order = OrderId(Uuid::from_u128(1));
        let _hand = in_hand.take(order);
        assert!(!in_hand.has_stored(order, PaymentStatus::Authorized).await);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let in_hand = InHand::default();
        for n in 0..2 * REMEMBERED as u128 {
            in_hand.stored(OrderId(Uuid::from_u128(n)), PaymentStatus::Authorized);
        }
        assert_eq!(in_hand.orders().stored.len(), REMEMBERED);
    }
}
