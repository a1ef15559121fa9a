//! The consumer runtime: one for all buses.
//!
//! It takes no more deliveries than it has room for and starts each at once on a task of its own; that no two of one
//! key are under way is the bus' promise ([`Subscription::fetch`]).

mod attempt;
mod outage;
mod policy;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt as _;
use resilience::Backoff;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::metrics::ConsumerMetrics;
use crate::{Bus, Delivery, Error, Event, Receipt, Subscription};
use attempt::Worker;
use outage::Outage;
pub use policy::Policy;

/// The pauses when the bus fails.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
/// How often the group's backlog is measured.
const UPKEEP: Duration = Duration::from_secs(10);

/// Applies events.
#[async_trait]
pub trait Handler: Send + Sync {
    /// Applies an event: stores what it causes and the receipt in one transaction, and reports success also when the
    /// receipt was there already.
    ///
    /// It may be dropped at any await (timeout, lost lease, end of the process) and called again for the same event.
    ///
    /// # Errors
    /// Says whether trying again can help.
    async fn handle(&self, event: &Event, receipt: Receipt) -> Result<(), HandlerError>;
}

/// Why a handler did not apply an event.
#[derive(Debug)]
pub enum HandlerError {
    /// What every event needs is away, such as the handler's store: all of them wait, none of their attempts is used up,
    /// and one at a time asks whether it is back.
    Unavailable(anyhow::Error),
    /// It may work later: the event is retried, and later events of its key wait.
    Transient(anyhow::Error),
    /// It never will: the event goes to the dead letters at once.
    Permanent(anyhow::Error),
}

impl HandlerError {
    /// A failure of what every event needs.
    pub fn unavailable(error: impl Into<anyhow::Error>) -> Self {
        Self::Unavailable(error.into())
    }

    /// A failure that may pass.
    pub fn transient(error: impl Into<anyhow::Error>) -> Self {
        Self::Transient(error.into())
    }

    /// A failure that stays.
    pub fn permanent(error: impl Into<anyhow::Error>) -> Self {
        Self::Permanent(error.into())
    }
}

/// A member of a consumer group: hands events of some kinds to a handler.
pub struct Consumer {
    bus: Arc<dyn Bus>,
    group: &'static str,
    kinds: &'static [&'static str],
    handler: Arc<dyn Handler>,
    policy: Policy,
}

impl Consumer {
    /// Makes a member of `group`, which is also the name of its inbox; [`Self::run`] starts it.
    pub fn new(
        bus: Arc<dyn Bus>,
        group: &'static str,
        kinds: &'static [&'static str],
        handler: Arc<dyn Handler>,
        policy: Policy,
    ) -> Self {
        Self { bus, group, kinds, handler, policy }
    }

    /// Works until the token is cancelled, then takes no more, finishes what is under way within the policy's `drain`,
    /// and gives back what it could not finish.
    ///
    /// A failing bus is waited for, with growing pauses, and so is what handlers say is unavailable.
    ///
    /// # Errors
    /// None today; the type leaves room for an adapter whose failure should stop the process.
    pub async fn run(self, token: CancellationToken, tracker: TaskTracker) -> Result<(), Error> {
        let metrics = ConsumerMetrics::new(self.bus.system(), self.group, self.kinds);
        let Some(subscription) = self.join(&metrics, &token).await else { return Ok(()) };
        let room = Arc::new(Semaphore::new(self.policy.max_in_flight));
        let stop = CancellationToken::new();
        let worker = Arc::new(Worker {
            subscription: Arc::clone(&subscription),
            handler: Arc::clone(&self.handler),
            group: self.group,
            kinds: self.kinds,
            policy: self.policy.clone(),
            outage: Outage::default(),
            ending: token.clone(),
            stop: stop.clone(),
            metrics,
        });
        // Depth is measured beside the work, which stands still when no handler comes to an end.
        tokio::select! {
            () = self.feed(&worker, &room, &token, &tracker) => {}
            () = self.measure_depth(&worker.metrics) => {}
        }
        let everybody = u32::try_from(self.policy.max_in_flight).unwrap_or(u32::MAX);
        if timeout(self.policy.drain, room.acquire_many(everybody)).await.is_err() {
            tracing::warn!(group = self.group, "drain deadline passed: releasing events in hand");
            stop.cancel();
            drop(timeout(Duration::from_secs(1), room.acquire_many(everybody)).await);
        }
        Ok(())
    }

    /// Fetches and starts until the token is cancelled.
    async fn feed(
        &self,
        worker: &Arc<Worker>,
        room: &Arc<Semaphore>,
        token: &CancellationToken,
        tracker: &TaskTracker,
    ) {
        let (mut failures, outage) = (0, resilience::Outage::default());
        loop {
            tokio::select! {
                () = token.cancelled() => break,
                free = room.acquire() => drop(free),
            }
            let fetched = fetch(&*worker.subscription, room.available_permits(), token);
            match worker.metrics.received(fetched).await {
                Ok(deliveries) => {
                    failures = 0;
                    self.answers(&outage);
                    if token.is_cancelled() {
                        return give_back(&*worker.subscription, deliveries).await;
                    }
                    for delivery in deliveries {
                        let permit = Arc::clone(room).try_acquire_owned();
                        let worker = Arc::clone(worker);
                        tracker.spawn(async move {
                            worker.attempt(delivery).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    failures += 1;
                    self.pause(&error, &outage, failures, token).await;
                }
            }
        }
        worker.subscription.close().await;
    }

    /// Measures how many events wait for the group, and how many it has given up, again and again.
    async fn measure_depth(&self, metrics: &ConsumerMetrics) {
        let unmeasured = |error: Error| {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, group = self.group, "cannot measure what waits for the group");
        };
        loop {
            // Neither waits for the other: a bus that is slow to count its dead letters still has a depth.
            let depth = self.bus.depth(self.group).map(|waiting| waiting.map_or_else(unmeasured, |n| metrics.depth(n)));
            let dead =
                self.bus.count_dead_letters(self.group).map(|dead| dead.map_or_else(unmeasured, |n| metrics.dead(n)));
            tokio::join!(depth, dead);
            sleep(UPKEEP).await;
        }
    }

    /// Joins the group, however long the bus takes to come up; `None` when the process ends first.
    async fn join(&self, metrics: &ConsumerMetrics, token: &CancellationToken) -> Option<Arc<dyn Subscription>> {
        let (mut failures, outage) = (0, resilience::Outage::default());
        while !token.is_cancelled() {
            match metrics.joined(self.bus.subscribe(self.group, self.kinds)).await {
                Ok(subscription) => {
                    self.answers(&outage);
                    return Some(subscription);
                }
                Err(error) => {
                    failures += 1;
                    self.pause(&error, &outage, failures, token).await;
                }
            }
        }
        None
    }

    /// The bus answers: says so where it did not before.
    fn answers(&self, outage: &resilience::Outage) {
        if let Some(failures) = outage.ended() {
            tracing::info!(group = self.group, failures, "events are fetched from the bus again");
        }
    }

    async fn pause(&self, error: &Error, outage: &resilience::Outage, failures: u32, token: &CancellationToken) {
        if let Some(failures) = outage.failed() {
            let error: &dyn std::error::Error = error;
            tracing::warn!(error, group = self.group, failures, "cannot fetch events from the bus");
        }
        tokio::select! {
            () = token.cancelled() => {}
            () = sleep(PAUSE.delay(failures)) => {}
        }
    }
}

/// Fetches; at the end of the process closes the subscription and still takes what the bus had handed out already.
async fn fetch(subscription: &dyn Subscription, max: usize, token: &CancellationToken) -> Result<Vec<Delivery>, Error> {
    let fetch = subscription.fetch(max);
    tokio::pin!(fetch);
    tokio::select! {
        fetched = &mut fetch => fetched,
        // Together: either may wait for the other.
        () = token.cancelled() => tokio::join!(subscription.close(), fetch).1,
    }
}

async fn give_back(subscription: &dyn Subscription, deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        if let Err(error) = subscription.release(&delivery).await {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "cannot release a delivery: it is redelivered when its lease ends"
            );
        }
    }
    subscription.close().await;
}
