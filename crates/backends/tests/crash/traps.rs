//! A bus and an outbox in which a process dies at a chosen moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use messaging::{
    Bus, DeadLetter, DeadRow, Delivery, Depth, Error, Event, Outbox, OutboxRow, Reason, Resolution, Subscription, Tail,
};
use uuid::Uuid;

/// Where a process dies: named by the moment, after a few times.
pub(crate) struct Trap {
    point: String,
    hits: AtomicU32,
}

impl Trap {
    pub(crate) fn new(point: String) -> Self {
        Self { point, hits: AtomicU32::new(0) }
    }

    pub(crate) fn at(&self, point: &str) {
        if self.point == point && self.hits.fetch_add(1, Ordering::SeqCst) == 2 {
            // As sudden as kill -9: no destructors, no flushing.
            std::process::abort();
        }
    }
}

pub(crate) struct Trapped<T>(pub(crate) T, pub(crate) Arc<Trap>);

#[async_trait]
impl Bus for Trapped<Arc<dyn Bus>> {
    fn system(&self) -> &'static str {
        self.0.system()
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        self.1.at("before publish");
        let done = self.0.publish(events).await;
        self.1.at("after publish");
        done
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
        Ok(Arc::new(Trapped(self.0.subscribe(group, kinds).await?, Arc::clone(&self.1))))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn Tail>, Error> {
        self.0.tail(kinds, back).await
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        self.0.dead_letters(group, limit).await
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        self.0.resolve(group, events, resolution).await
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        self.0.depth(group).await
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        self.0.count_dead_letters(group).await
    }

    async fn ping(&self) -> Result<(), Error> {
        self.0.ping().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Subscription for Trapped<Arc<dyn Subscription>> {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let fetched = self.0.fetch(max).await;
        self.1.at("after fetch");
        fetched
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        self.1.at("before ack");
        let done = self.0.ack(delivery).await;
        self.1.at("after ack");
        done
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.0.retry(delivery, after).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.0.release(delivery).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        self.0.extend(delivery).await
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        self.0.dead_letter(delivery, reason).await
    }

    fn lease(&self) -> Duration {
        self.0.lease()
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[async_trait]
impl Outbox for Trapped<Arc<dyn Outbox>> {
    async fn claim(&self, owner: &str, limit: usize) -> Result<Vec<OutboxRow>, Error> {
        // Small bites, so that there are many moments to die in.
        self.1.at("before claim");
        let claimed = self.0.claim(owner, limit.min(5)).await;
        self.1.at("after claim");
        claimed
    }

    async fn confirm(&self, rows: &[OutboxRow]) -> Result<(), Error> {
        self.1.at("before confirm");
        let done = self.0.confirm(rows).await;
        self.1.at("after confirm");
        done
    }

    async fn fail(&self, row: &OutboxRow, reason: &str, pause: Option<Duration>) -> Result<(), Error> {
        self.0.fail(row, reason, pause).await
    }

    async fn release(&self, owner: &str) -> Result<(), Error> {
        self.0.release(owner).await
    }

    async fn announce(&self) -> Result<(), Error> {
        self.0.announce().await
    }

    async fn announced(&self) {
        self.0.announced().await;
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.0.depth().await
    }

    async fn dead(&self, limit: usize) -> Result<Vec<DeadRow>, Error> {
        self.0.dead(limit).await
    }

    async fn revive(&self, event: Option<Uuid>) -> Result<u64, Error> {
        self.0.revive(event).await
    }

    async fn prune(&self) -> Result<u64, Error> {
        self.0.prune().await
    }
}
