//! Carries events from a service's outbox to the bus, in order per key, at least once.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use resilience::{Backoff, Outage};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, field::Empty};
use uuid::Uuid;

use crate::metrics::RelayMetrics;
use crate::{Bus, Error, Event, MORE, Outbox, OutboxRow, PRUNED};

/// Events published in one go, as many as the bus has acknowledgements under way at once.
const BATCH: usize = 256;
/// The outbox is polled after this long without a wake-up: another process may have written to it.
const POLL: Duration = Duration::from_millis(500);
/// How long the bus may take for a batch.
const PUBLISH: Duration = Duration::from_secs(10);
/// How long the last events may take when the process ends; the rest is published by the next one.
const FLUSH: Duration = Duration::from_secs(2);
/// Refusals of one event before it is dead.
const REFUSALS: u32 = 5;
/// The pauses after failures.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(5));
/// How often depth is measured and old inbox rows are forgotten.
const UPKEEP: Duration = Duration::from_secs(10);
/// How long old inbox rows are forgotten in one go.
const PRUNE: Duration = Duration::from_secs(5);

/// Wakes a relay; stores poke it after each commit that recorded events.
#[derive(Clone, Debug, Default)]
pub struct Wake(Arc<Notify>);

impl Wake {
    /// Says that the outbox has something new. Never waits; many pokes are one.
    pub fn poke(&self) {
        self.0.notify_one();
    }
}

/// Publishes what the outbox holds. Several relays may run on one outbox: they share its
/// partitions, and where there is one partition, one works and the others stand by.
pub struct Relay {
    outbox: Arc<dyn Outbox>,
    bus: Arc<dyn Bus>,
    wake: Wake,
    owner: String,
    publishes: bool,
    metrics: RelayMetrics,
}

impl Relay {
    /// Makes a relay; [`Self::run`] starts it.
    pub fn new(outbox: Arc<dyn Outbox>, bus: Arc<dyn Bus>) -> Self {
        let owner = Uuid::new_v4().to_string();
        let metrics = RelayMetrics::new(bus.system());
        Self { outbox, bus, wake: Wake::default(), owner, publishes: true, metrics }
    }

    /// The same relay, woken by what stores have been given already.
    pub fn woken_by(mut self, wake: Wake) -> Self {
        self.wake = wake;
        self
    }

    /// The same relay; where it does not publish, events wait in the outbox for one that does.
    pub fn publishing(mut self, publishes: bool) -> Self {
        self.publishes = publishes;
        self
    }

    /// What stores poke after they have recorded events.
    pub fn wake(&self) -> Wake {
        self.wake.clone()
    }

    /// Works until the token is cancelled, then publishes what is left (2 s at most) and gives the lease up.
    ///
    /// A failing bus or outbox is waited for, with growing pauses.
    ///
    /// # Errors
    /// None today; the type leaves room for an adapter whose failure should stop the process.
    pub async fn run(self, token: CancellationToken) -> Result<(), Error> {
        // Beside the work, which does not end while there is always something to publish.
        tokio::select! {
            () = self.work(&token), if self.publishes => {}
            () = token.cancelled(), if !self.publishes => {}
            () = self.upkeep() => {}
        }
        if self.publishes {
            self.flush().await;
        }
        Ok(())
    }

    /// Publishes until the token is cancelled.
    async fn work(&self, token: &CancellationToken) {
        let (mut failures, outage) = (0_u32, Outage::default());
        let mut woken = false;
        while !token.is_cancelled() {
            let pause = match self.pass().await {
                Ok(claimed) => {
                    failures = 0;
                    if let Some(failures) = outage.ended() {
                        tracing::info!(failures, "the outbox is published again");
                    }
                    if claimed > 0 || woken {
                        self.announce().await;
                    }
                    if claimed >= MORE {
                        continue;
                    }
                    POLL
                }
                Err(error) => {
                    failures += 1;
                    if let Some(failures) = outage.failed() {
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, failures, "cannot publish from the outbox");
                    }
                    PAUSE.delay(failures)
                }
            };
            woken = self.wait(pause, failures == 0, token).await;
        }
    }

    /// Waits for a wake-up or the next poll; after a failure a wake-up does not shorten the pause.
    /// Says whether this process has recorded something.
    async fn wait(&self, pause: Duration, wakeable: bool, token: &CancellationToken) -> bool {
        tokio::select! {
            () = token.cancelled() => false,
            () = sleep(pause) => false,
            () = self.wake.0.notified(), if wakeable => true,
            () = self.outbox.announced(), if wakeable => false,
        }
    }

    async fn announce(&self) {
        if let Err(error) = self.outbox.announce().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "cannot announce to other relays: they poll");
        }
    }

    async fn flush(&self) {
        let work = async {
            while self.pass().await.is_ok_and(|claimed| claimed > 0) {}
            if let Err(error) = self.outbox.release(&self.owner).await {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "cannot release the leases on the outbox: they expire"
                );
            }
        };
        if timeout(FLUSH, work).await.is_err() {
            tracing::info!("stopped with events left in the outbox");
        }
    }

    /// Publishes a batch; returns how many rows there were to publish.
    async fn pass(&self) -> Result<usize, Error> {
        let rows = self.outbox.claim(&self.owner, BATCH).await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let span = tracing::info_span!(
            "send",
            otel.kind = "producer",
            messaging.system = self.bus.system(),
            messaging.operation.name = "send",
            messaging.operation.type = "send",
            messaging.batch.message_count = rows.len(),
            otel.status_code = Empty,
            error.type = Empty,
        );
        for row in &rows {
            telemetry::link(&span, &row.event.carrier);
        }
        let claimed = rows.len();
        let sent = self.send(rows).instrument(span.clone()).await;
        if let Err(error) = &sent {
            span.record("error.type", error.name());
            span.record("otel.status_code", "ERROR");
        }
        sent.map(|()| claimed)
    }

    async fn send(&self, rows: Vec<OutboxRow>) -> Result<(), Error> {
        let events: Vec<Event> = rows.iter().map(|row| row.event.clone()).collect();
        match self.publish(&events).await {
            Ok(()) => {
                self.metrics.sent(&events);
                self.outbox.confirm(&rows).await
            }
            Err(Error::Rejected { .. }) => self.send_singly(rows).await,
            Err(error) => Err(error),
        }
    }

    /// One of them is refused: finds out which, and lets the others through unless they share its key.
    async fn send_singly(&self, rows: Vec<OutboxRow>) -> Result<(), Error> {
        let mut blocked = HashSet::new();
        for row in rows {
            if blocked.contains(&row.event.key) {
                continue;
            }
            match self.publish(std::slice::from_ref(&row.event)).await {
                Ok(()) => {
                    self.metrics.sent(std::slice::from_ref(&row.event));
                    self.outbox.confirm(std::slice::from_ref(&row)).await?;
                }
                Err(error @ Error::Rejected { .. }) => {
                    self.refused(&row, &error).await?;
                    blocked.insert(row.event.key);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    async fn refused(&self, row: &OutboxRow, error: &Error) -> Result<(), Error> {
        let attempts = row.attempts + 1;
        let pause = (attempts < REFUSALS).then(|| PAUSE.delay(attempts));
        if pause.is_none() {
            tracing::error!(event.id = %row.event.id, event.kind = %row.event.kind, %error, "outbox row is dead: the bus refuses the event for good");
        }
        self.outbox.fail(row, &error.to_string(), pause).await
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        let publish =
            async { timeout(PUBLISH, self.bus.publish(events)).await.unwrap_or_else(|late| Err(Error::bus(late))) };
        self.metrics.calls.measured("send", publish).await
    }

    /// Measures depth and forgets old inbox rows, again and again.
    async fn upkeep(&self) {
        loop {
            match self.outbox.depth().await {
                Ok(depth) => self.metrics.depth(&depth),
                Err(error) => tracing::debug!(%error, "cannot measure the depth of the outbox"),
            }
            if let Err(error) = self.prune().await {
                tracing::debug!(%error, "cannot prune the inbox");
            }
            sleep(UPKEEP).await;
        }
    }

    /// Forgets batch after batch for as long as they are full, so that the inbox grows with no load; half of the time is
    /// left to others.
    async fn prune(&self) -> Result<(), Error> {
        let end = Instant::now() + PRUNE;
        loop {
            let start = Instant::now();
            if self.outbox.prune().await? < u64::from(PRUNED) || Instant::now() >= end {
                return Ok(());
            }
            sleep(start.elapsed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::unimplemented)] // tests

    use std::sync::atomic::{AtomicU32, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::{DeadLetter, DeadRow, Depth, Resolution, Subscription, Tail};

    /// An outbox that always has another event, and a bus that takes a second for each.
    #[derive(Default)]
    struct Busy(AtomicU32);

    #[async_trait]
    impl Outbox for Busy {
        async fn claim(&self, _: &str, _: usize) -> Result<Vec<OutboxRow>, Error> {
            let event = Event::new("k.v1", "test", "key", clock::from_micros(1), 1)?;
            Ok(vec![OutboxRow { seq: 1, partition: 0, fence: 1, event, attempts: 0 }])
        }

        async fn confirm(&self, _: &[OutboxRow]) -> Result<(), Error> {
            Ok(())
        }

        async fn fail(&self, _: &OutboxRow, _: &str, _: Option<Duration>) -> Result<(), Error> {
            unimplemented!()
        }

        async fn release(&self, _: &str) -> Result<(), Error> {
            Ok(())
        }

        async fn depth(&self) -> Result<Depth, Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Depth::default())
        }

        async fn dead(&self, _: usize) -> Result<Vec<DeadRow>, Error> {
            unimplemented!()
        }

        async fn revive(&self, _: Option<Uuid>) -> Result<u64, Error> {
            unimplemented!()
        }

        async fn prune(&self) -> Result<u64, Error> {
            Ok(0)
        }
    }

    #[async_trait]
    impl Bus for Busy {
        fn system(&self) -> &'static str {
            "test"
        }

        async fn publish(&self, _: &[Event]) -> Result<(), Error> {
            sleep(Duration::from_secs(1)).await;
            Ok(())
        }

        async fn subscribe(&self, _: &str, _: &[&str]) -> Result<Arc<dyn Subscription>, Error> {
            unimplemented!()
        }

        async fn tail(&self, _: &[&str], _: u64) -> Result<Box<dyn Tail>, Error> {
            unimplemented!()
        }

        async fn dead_letters(&self, _: Option<&str>, _: usize) -> Result<Vec<DeadLetter>, Error> {
            unimplemented!()
        }

        async fn resolve(&self, _: &str, _: &[Uuid], _: Resolution) -> Result<u64, Error> {
            unimplemented!()
        }

        async fn depth(&self, _: &str) -> Result<u64, Error> {
            unimplemented!()
        }

        async fn count_dead_letters(&self, _: &str) -> Result<u64, Error> {
            unimplemented!()
        }

        async fn ping(&self) -> Result<(), Error> {
            unimplemented!()
        }

        async fn close(&self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn depth_is_measured_while_there_is_always_something_to_publish() {
        let busy = Arc::new(Busy::default());
        let relay = Relay::new(Arc::clone(&busy) as Arc<dyn Outbox>, Arc::clone(&busy) as Arc<dyn Bus>);
        let _ = timeout(3 * UPKEEP + Duration::from_secs(1), relay.run(CancellationToken::new())).await;
        assert_eq!(busy.0.load(Ordering::Relaxed), 4, "at once, and then three times");
    }
}
