//! One delivery: handled under a timeout, with its lease renewed and panics caught, then settled.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{FutureExt, future::OptionFuture};
use resilience::Backoff;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

use super::outage::{Outage, Turn};
use super::{Handler, HandlerError, Policy};
use crate::metrics::ConsumerMetrics;
use crate::{Cause, Delivery, Error, Event, Reason, Receipt, Subscription, Suspicion};

/// Tries to settle a delivery before it is left to its lease.
const SETTLE_TRIES: u32 = 5;
/// The pauses between them.
const SETTLE_PAUSE: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(500));

/// What all handlers of a consumer share.
pub(super) struct Worker {
    pub(super) subscription: Arc<dyn Subscription>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) group: &'static str,
    pub(super) kinds: &'static [&'static str],
    pub(super) policy: Policy,
    pub(super) outage: Outage,
    /// Cancelled when the process begins to end.
    pub(super) ending: CancellationToken,
    /// Cancelled when handlers have to stop where they are.
    pub(super) stop: CancellationToken,
    pub(super) metrics: ConsumerMetrics,
}

/// What became of an attempt.
enum Outcome {
    Done,
    Failed(Reason),
    /// What the handler needs is away: it did not count.
    Unavailable(String),
    /// Somebody else has the delivery.
    Lost,
    /// The process ends.
    Stopped,
}

impl Worker {
    /// Handles and settles a delivery. While what its handler needs is away it stays in hand, and nothing is counted.
    pub(super) async fn attempt(&self, delivery: Delivery) {
        // What has failed as often for certain, and waits for room, is no suspect.
        let is_suspect = delivery.attempt > self.policy.max_attempts && delivery.failures < self.policy.max_attempts;
        if is_suspect && delivery.suspicion == Suspicion::None {
            let _ = self.insist("isolate", &delivery, || self.subscription.isolate(&delivery)).await;
            return;
        }
        let keep = OptionFuture::from(Some(self.keep(&delivery)));
        tokio::pin!(keep);
        loop {
            let turn = tokio::select! {
                biased;
                turn = self.outage.turn(&self.policy) => Ok(turn),
                _ = &mut keep => Err(Outcome::Lost),
                () = self.ending.cancelled() => Err(Outcome::Stopped),
            };
            let turn = match turn {
                Ok(turn) => turn,
                Err(outcome) => {
                    keep.set(None.into());
                    return self.settle(&delivery, outcome).await;
                }
            };
            let deadline = Some(Instant::now() + self.policy.timeout);
            let process = self.process(&delivery, turn, keep.as_mut());
            if telemetry::scope(&delivery.event.carrier, deadline, self.span(&delivery), process).await {
                return;
            }
        }
    }

    fn span(&self, delivery: &Delivery) -> tracing::Span {
        let event = &delivery.event;
        tracing::info_span!(
            "process",
            otel.name = format!("process {}", event.kind),
            otel.kind = "consumer",
            messaging.system = self.metrics.system(),
            messaging.operation.name = "process",
            messaging.operation.type = "process",
            messaging.destination.name = event.kind,
            messaging.consumer.group.name = self.group,
            messaging.message.id = %event.id,
            messaging.message.key = event.key,
            messaging.message.attempt = delivery.attempt,
        )
    }

    fn settle_span(&self, operation: &'static str, kind: &str) -> tracing::Span {
        tracing::info_span!(
            "settle",
            otel.name = format!("{operation} {kind}"),
            otel.kind = "client",
            messaging.system = self.metrics.system(),
            messaging.operation.name = operation,
            messaging.operation.type = "settle",
            messaging.destination.name = kind,
            messaging.consumer.group.name = self.group,
        )
    }

    /// One try; says whether the delivery is settled.
    async fn process<K>(&self, delivery: &Delivery, turn: Turn<'_>, mut keep: Pin<&mut OptionFuture<K>>) -> bool
    where
        K: Future<Output = ()>,
    {
        let started = Instant::now();
        let outcome = match self.unfit(delivery) {
            Some(reason) => Outcome::Failed(reason),
            None => self.supervise(&delivery.event, turn, keep.as_mut()).await,
        };
        self.metrics.processed(&delivery.event.kind, self.name(delivery, &outcome), started.elapsed());
        if matches!(outcome, Outcome::Unavailable(_)) {
            return false;
        }
        // A renewal that is begun and not polled any more may hold what settling waits for.
        keep.set(None.into());
        self.settle(delivery, outcome).await;
        true
    }

    /// What telemetry calls it: a cause is why an event was given up, and until then it is tried again.
    fn name(&self, delivery: &Delivery, outcome: &Outcome) -> &'static str {
        match outcome {
            Outcome::Done => "done",
            Outcome::Failed(reason) if self.is_last(delivery, reason) => reason.cause.as_str(),
            Outcome::Failed(_) => "retried",
            Outcome::Unavailable(_) => "unavailable",
            Outcome::Lost => "lost",
            Outcome::Stopped => "stopped",
        }
    }

    /// Why the delivery is not even handed to the handler.
    fn unfit(&self, delivery: &Delivery) -> Option<Reason> {
        let kind = delivery.event.kind.as_str();
        if delivery.attempt > self.policy.max_attempts && delivery.suspicion == Suspicion::Culprit {
            let detail = format!("{} deliveries of it came to no end", delivery.attempt - 1);
            return Some(Reason { cause: Cause::Deadly, detail });
        }
        let detail = || format!("this member of {} does not handle {kind}", self.group);
        (!self.kinds.contains(&kind)).then(|| Reason { cause: Cause::Unhandled, detail: detail() })
    }

    async fn supervise(&self, event: &Event, mut turn: Turn<'_>, keep: impl Future) -> Outcome {
        let outcome = tokio::select! {
            biased;
            outcome = self.handle(event) => outcome,
            () = sleep(self.policy.timeout) => {
                let detail = format!("no end after {:?}", self.policy.timeout);
                // The try that goes on in an outage: what does not answer is away like what refuses.
                if turn.is_alone() {
                    Outcome::Unavailable(detail)
                } else {
                    return Outcome::Failed(Reason { cause: Cause::TimedOut, detail });
                }
            }
            _ = keep => return Outcome::Lost,
            () = self.stop.cancelled() => return Outcome::Stopped,
        };
        let group = self.group;
        if let Outcome::Unavailable(error) = &outcome {
            if turn.found_away() {
                tracing::warn!(group, error, "what handlers need is away: events wait, and one of them asks");
            }
        } else if turn.found_all_there() {
            tracing::info!(group, "what handlers need is there again");
        }
        outcome
    }

    async fn handle(&self, event: &Event) -> Outcome {
        let receipt = Receipt { consumer: self.group, event_id: event.id };
        // The handler is built inside the guard: it may panic before its first await.
        let guarded = AssertUnwindSafe(async { self.handler.handle(event, receipt).await }).catch_unwind();
        let (cause, detail) = match guarded.await {
            Ok(Ok(())) => return Outcome::Done,
            Ok(Err(HandlerError::Unavailable(error))) => return Outcome::Unavailable(format!("{error:#}")),
            Ok(Err(HandlerError::Permanent(error))) => (Cause::Permanent, format!("{error:#}")),
            Ok(Err(HandlerError::Transient(error))) => (Cause::Exhausted, format!("{error:#}")),
            Err(panic) => (Cause::Panicked, panic_message(&*panic)),
        };
        Outcome::Failed(Reason { cause, detail })
    }

    /// Renews the lease for as long as it can; returns when it is lost.
    async fn keep(&self, delivery: &Delivery) {
        loop {
            sleep(self.subscription.lease() / 3).await;
            match self.subscription.extend(delivery).await {
                Err(Error::Lost) => return,
                Err(error) => tracing::debug!(error = &error as &dyn std::error::Error, "cannot renew a lease"),
                Ok(()) => {}
            }
        }
    }

    async fn settle(&self, delivery: &Delivery, outcome: Outcome) {
        let subscription = &*self.subscription;
        match outcome {
            Outcome::Done => {
                tracing::info!(group = self.group, event.id = %delivery.event.id, "{} applied", delivery.event.kind);
                self.metrics.applied(delivery.event.time);
                let _ = self.insist("ack", delivery, || subscription.ack(delivery)).await;
            }
            Outcome::Stopped | Outcome::Unavailable(_) => {
                let _ = self.insist("release", delivery, || subscription.release(delivery)).await;
            }
            Outcome::Lost => tracing::info!("lease lost while handling: another consumer has the event"),
            Outcome::Failed(reason) if self.is_last(delivery, &reason) => self.give_up(delivery, &reason).await,
            Outcome::Failed(reason) => {
                let pause = self.pause(delivery, &reason);
                tracing::warn!(cause = %reason.cause, error = reason.detail, ?pause, "retrying an event");
                let _ = self.insist("retry", delivery, || subscription.retry(delivery, pause)).await;
            }
        }
    }

    /// Puts an event aside. Where there is no room it is tried on, at the longest pause, and takes the place of no other.
    async fn give_up(&self, delivery: &Delivery, reason: &Reason) {
        let (subscription, cause, error) = (&*self.subscription, reason.cause, &reason.detail);
        let stored = self.insist("dead_letter", delivery, || subscription.dead_letter(delivery, reason.clone())).await;
        match stored {
            Ok(()) => {
                tracing::error!(%cause, error, "an event was given up");
                self.metrics.gave_up();
            }
            Err(Error::NoRoom) => {
                let (pause, room) = (self.policy.max_backoff, Error::NoRoom.to_string());
                tracing::error!(%cause, error, room, ?pause, "an event cannot be given up, and is tried on");
                // What kills its members stays as suspect as it is.
                let _ = match cause {
                    Cause::Deadly => self.insist("retry", delivery, || subscription.retry(delivery, pause)).await,
                    _ => self.insist("retry", delivery, || subscription.postpone(delivery, pause)).await,
                };
            }
            Err(_) => {}
        }
    }

    /// How long to wait before the next try. For a kind that this member does not handle, the longest pause: it waits
    /// for a member that does.
    fn pause(&self, delivery: &Delivery, reason: &Reason) -> Duration {
        match reason.cause {
            Cause::Unhandled => self.policy.max_backoff,
            _ => self.policy.backoff().delay(delivery.failures + 1),
        }
    }

    fn is_last(&self, delivery: &Delivery, reason: &Reason) -> bool {
        matches!(reason.cause, Cause::Permanent | Cause::Deadly) || delivery.failures + 1 >= self.policy.max_attempts
    }

    /// Tries for a while: what cannot be settled is delivered again when its lease ends, and so is what another holds by now.
    ///
    /// # Errors
    /// The last one.
    async fn insist<F>(&self, operation: &'static str, delivery: &Delivery, settle: impl Fn() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut last = Error::Lost;
        for attempt in 1..=SETTLE_TRIES {
            let span = self.settle_span(operation, &delivery.event.kind);
            match self.metrics.calls.measured(operation, settle()).instrument(span).await {
                Ok(()) => return Ok(()),
                Err(Error::Lost) => {
                    tracing::info!("lease lost before settling: another consumer has the event");
                    return Err(Error::Lost);
                }
                Err(Error::NoRoom) => return Err(Error::NoRoom),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, attempt, "cannot settle an event");
                    sleep(SETTLE_PAUSE.delay(attempt)).await;
                    last = error;
                }
            }
        }
        Err(last)
    }
}

/// What a panic said.
fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("panicked without a message").to_owned()
}
