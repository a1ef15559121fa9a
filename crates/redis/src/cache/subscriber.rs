//! What a process does about the writes of others that it is notified of, and when it may have missed some.
//!
//! Messages: `I SOURCE GENERATION KEY`, a value was written; `F KEY`, a lease that somebody waits for has ended;
//! `E EPOCH`, everything that was stored before is invalid.

use std::{sync::Weak, time::Duration};

use tokio::time::{sleep, timeout};

use super::Inner;
use crate::{Disconnected, Subscriber};

/// The pause after a replay of the journal that failed.
const RETRY_DELAY: Duration = Duration::from_millis(200);

/// Replays the journal as soon as Redis answers, and keeps epoch and clock current, as long as the store is in use.
pub(super) async fn maintain(inner: Weak<Inner>) {
    while let Some(inner) = inner.upgrade() {
        // The timeout is for looking whether anybody still uses the store.
        if timeout(RETRY_DELAY * 5, inner.journal.wait_until_pending()).await.is_ok()
            && let Err(error) = inner.replay_journal().await
        {
            tracing::debug!(error, "cache journal not replayed yet");
            sleep(RETRY_DELAY).await;
        }
        if let Err(error) = inner.resync().await {
            tracing::debug!(error, "cache epoch not known yet");
        }
        if inner.clock.is_stale() {
            // Until then the old reading serves, less exactly.
            let _ = inner.read_clock().await;
        }
    }
}

impl Subscriber for Inner {
    fn on_message(&self, _: &str, message: &[u8]) {
        let text = String::from_utf8_lossy(message);
        let mut fields = text.splitn(2, ' ');
        match (fields.next(), fields.next()) {
            (Some("I"), Some(rest)) => {
                let mut fields = rest.splitn(3, ' ');
                let (Some(source), Some(generation), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
                    return;
                };
                if source != self.source {
                    // One that cannot be read evicts whatever there is.
                    let generation = generation.parse().unwrap_or(u64::MAX);
                    let lag = self.clock.estimate().unwrap_or_default().saturating_sub(generation);
                    self.metrics.received(Duration::from_micros(lag));
                    self.notify(key, generation);
                }
            }
            (Some("F"), Some(key)) => self.wake_waiters(key),
            (Some("E"), Some(epoch)) => self.local.begin_epoch(epoch.parse().unwrap_or_default()),
            _ => {}
        }
    }

    fn on_connected(&self) {
        tracing::info!("invalidation feed connected");
        self.breaker.close();
        self.for_each_listener(|listener| listener.on_notifications_lost());
        self.wake_all_waiters();
        self.feed_connected();
    }

    fn on_disconnected(&self, cause: Disconnected) {
        tracing::warn!(%cause, "invalidation feed disconnected");
        self.feed_disconnected();
        self.metrics.disconnected();
        self.for_each_listener(|listener| listener.on_notifications_lost());
    }
}
