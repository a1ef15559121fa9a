//! What a process does about the writes that it hears of, and when it may have missed some.
//!
//! Messages: `I SOURCE GENERATION KEY`, a value was written; `F KEY`, a lease that somebody waits for has ended;
//! `E EPOCH`, all that was stored before is given up.

use std::{sync::Weak, time::Duration};

use ::redis::Ear;
use tokio::time::{sleep, timeout};

use super::Shared;

/// The pause before Redis is told again of what it could not be told.
const LATE: Duration = Duration::from_millis(200);

/// Tells Redis of the writes that it was not told of, as soon as it listens, and follows its clock.
pub(super) async fn tell_late(shared: Weak<Shared>) {
    while let Some(shared) = shared.upgrade() {
        // Looks now and then whether anybody still uses the store.
        if timeout(LATE * 5, shared.journal.filled()).await.is_ok()
            && let Err(error) = shared.catch_up_with_all().await
        {
            tracing::debug!(error, "redis does not know of all writes yet");
            sleep(LATE).await;
        }
        if shared.clock.is_old() {
            // Until then the old time serves, less exactly.
            let _ = shared.read_clock().await;
        }
    }
}

impl Ear for Shared {
    fn hears(&self, _: &str, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let mut words = text.splitn(2, ' ');
        match (words.next(), words.next()) {
            (Some("I"), Some(rest)) => {
                let mut words = rest.splitn(3, ' ');
                let (Some(source), Some(generation), Some(key)) = (words.next(), words.next(), words.next()) else {
                    return;
                };
                if source != self.source {
                    let generation = generation.parse().unwrap_or(u64::MAX);
                    let lag = self.clock.about().unwrap_or_default().saturating_sub(generation);
                    self.metrics.heard(Duration::from_micros(lag));
                    self.tell(key, generation);
                }
            }
            (Some("F"), Some(key)) => self.wake(key),
            (Some("E"), Some(epoch)) => self.near.begin(epoch.parse().unwrap_or_default()),
            _ => {}
        }
    }

    fn begins(&self) {
        self.breaker.close();
        self.listeners(|listener| listener.feed_lost());
        self.wake_all();
        let Some(shared) = self.itself.upgrade() else { return };
        self.in_background(async move {
            // Until then what is near counts for little.
            if let Err(error) = shared.recover().await {
                tracing::debug!(error, "the epoch is not known yet");
            }
        });
    }

    fn breaks(&self) {
        self.near.alone();
        if let Some(now) = self.clock.at_most() {
            self.quarantine.begin(now);
        }
        self.metrics.broke();
        self.listeners(|listener| listener.feed_lost());
    }
}
