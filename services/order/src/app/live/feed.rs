//! Reads the bus for all who watch.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use clock::SharedClock;
use messaging::{Bus, Cursor, Event, Tail, Tailed};
use resilience::{Backoff, Outage};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{Live, LiveEvent, UserId, window};

/// Events of any kind that are read again at the start, so that who watched elsewhere can resume here.
const BACK: u64 = window::MAX_EVENTS as u64;
/// The pauses while the bus does not answer.
const PAUSE: Backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));

/// Writes an event for those who watch: whose it is, and what they are sent. The cursor is what they resume after.
pub type Translate = fn(&Event, &Cursor) -> Result<(UserId, Bytes), serde_json::Error>;

/// A reader of the bus.
pub struct Feed {
    live: Live,
    bus: Arc<dyn Bus>,
    kinds: &'static [&'static str],
    translate: Translate,
    clock: SharedClock,
    tail: Option<Box<dyn Tail>>,
}

impl Feed {
    /// Reads events of these kinds.
    pub fn new(
        live: Live,
        bus: Arc<dyn Bus>,
        kinds: &'static [&'static str],
        translate: Translate,
        clock: SharedClock,
    ) -> Self {
        Self { live, bus, kinds, translate, clock, tail: None }
    }

    /// Reads until the token is cancelled. While the bus does not answer, those who watch are told nothing, and what they
    /// have missed afterwards.
    pub async fn run(mut self, stop: CancellationToken) {
        let (mut failures, outage) = (0, Outage::default());
        while let Some(read) = stop.run_until_cancelled(self.read()).await {
            let Err(error) = read else {
                failures = 0;
                if let Some(failures) = outage.ended() {
                    tracing::info!(failures, "live events are read from the bus again");
                }
                continue;
            };
            failures += 1;
            if let Some(failures) = outage.failed() {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, failures, "live events cannot be read from the bus");
            }
            let _ = stop.run_until_cancelled(sleep(PAUSE.delay(failures))).await;
        }
    }

    async fn read(&mut self) -> Result<(), messaging::Error> {
        if self.tail.is_none() {
            let tail = self.bus.tail(self.kinds, BACK).await?;
            self.live.begin(tail.cursor());
            self.tail = Some(tail);
        }
        let Some(tail) = &mut self.tail else { return Ok(()) };
        let (position, event) = match tail.next().await? {
            Tailed::Event(position, event) => (position, event),
            Tailed::Gap => {
                self.live.begin(tail.cursor());
                return Ok(());
            }
        };
        match (self.translate)(&event, tail.cursor()) {
            Ok((user, payload)) => {
                self.live.publish(LiveEvent { user, position, payload }, tail.cursor());
                self.live.0.metrics.lag(self.clock.now() - event.time);
            }
            Err(error) => {
                tracing::error!(event.id = %event.id, event.kind, %error, "an event cannot be shown to those who watch");
            }
        }
        // Whoever was told something has a turn before the next event: who keeps up is not overrun.
        tokio::task::yield_now().await;
        Ok(())
    }
}
