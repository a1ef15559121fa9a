//! One request's work on one payment, under its lock: store the intent, call the provider, store the outcome.
//!
//! Three things keep it right when a process dies, a lock is lost or an answer does not come:
//! - The intent is stored before the call, and the call has an idempotency key, so that an outcome that was not stored
//!   can be found out before anything is done again.
//! - Outcome, ledger transactions, events and processed messages are one transaction.
//! - Each write names the version that it is based on and the lock's fencing token; a stale one changes nothing.

use std::time::Duration;

use messaging::Effects;
use resilience::Backoff;
use telemetry::Carrier;

use super::{
    App, Error,
    ports::{IdempotencyKey, Instruction, ProcessedMessages, ProviderError, Record, Saved, Target, Write},
    published,
};
use crate::domain::{DomainEvent, NextStep, Operation, OrderId, Outcome, Payment, Refusal, ledger::Transaction};

/// An intent without an outcome is the sweeper's after this long.
pub(super) const INTENT_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest wait for the lock of a payment.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);

/// Steps that one request may take: an old intent, its own intent, done; twice, in case another request comes between.
const MAX_STEPS: usize = 6;

/// Calls of a provider that is not available, within one request.
const MAX_ATTEMPTS: u32 = 5;

/// The pauses between them: 0.6 s together at most, well within a caller's deadline.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(40), Duration::from_millis(320));

/// The work of one request on the payment of one order. Holds the payment's lock, which is released in the background when this
/// is dropped. A failure of that is of no consequence: the lease runs out, and writes are fenced.
pub(super) struct PaymentRun<'a> {
    app: &'a App,
    order_id: OrderId,
    _guard: lock::Guard,
    fence: i64,
    found: Found,
    processed: ProcessedMessages,
}

/// What was stored when the lock was taken.
enum Found {
    /// Nobody has asked for it.
    Unread(Option<Record>),
    /// It may have been changed since.
    Read,
}

impl<'a> PaymentRun<'a> {
    /// Waits for the payment's lock, no longer than the caller's deadline.
    ///
    /// `processed` are the messages that this run answers; they are recorded with its last write.
    pub(super) async fn begin(app: &'a App, order_id: OrderId, processed: ProcessedMessages) -> Result<Self, Error> {
        let name = format!("payment:{order_id}");
        let guard = app.locks.lock(&name, telemetry::remaining(LOCK_TIMEOUT)).await;
        let guard = guard.map_err(|error| if error.is_busy() { Error::Busy } else { Error::Lock(error) })?;
        let (found, fence) = app.payments.by_order_locked(order_id, guard.fence()).await?;
        Ok(Self { app, order_id, fence, _guard: guard, found: Found::Unread(found), processed })
    }

    /// What is stored for the order.
    pub(super) async fn load(&mut self) -> Result<Option<Record>, Error> {
        match std::mem::replace(&mut self.found, Found::Read) {
            Found::Unread(found) => Ok(found),
            Found::Read => Ok(self.app.payments.by_order(self.order_id).await?),
        }
    }

    /// The payment of an order that must have one.
    pub(super) async fn load_payment(&mut self) -> Result<Payment, Error> {
        match self.load().await? {
            Some(Record::Payment(payment)) => Ok(payment),
            Some(Record::Closed) => Err(Refusal::Closed.into()),
            None => Err(Error::NotFound),
        }
    }

    /// Does `operation`, after whatever was left open; returns the payment when that is done.
    pub(super) async fn carry_out(&mut self, operation: Operation, mut payment: Payment) -> Result<Payment, Error> {
        for _ in 0..MAX_STEPS {
            let before = payment.clone();
            let saved = match payment.next_step(operation)? {
                NextStep::Done => {
                    self.record_receipt().await?;
                    return Ok(payment);
                }
                NextStep::ResolveIntent(open) => {
                    let found = self.app.find_outcome(self.order_id, open).await?;
                    self.resolve_intent(&mut payment, operation, found).await?
                }
                NextStep::Start => self.start(&mut payment, operation).await?,
            };
            match saved {
                Saved::Stored => {}
                Saved::Stale => return self.superseded(operation, &before).await,
                // The message was processed before, so nothing was stored: what was changed here holds in memory only.
                Saved::Duplicate => payment = self.load_payment().await?,
            }
        }
        Err(ProviderError::OutcomeUnknown(None).into())
    }

    /// Stores a new payment and has the provider authorize it; `None` when the order has something stored already.
    pub(super) async fn open(&mut self, mut payment: Payment) -> Result<Option<Payment>, Error> {
        if self.save(&payment, None, &[], false).await? != Saved::Stored {
            return Ok(None);
        }
        let before = payment.clone();
        // Nobody can have called the provider under this key before the intent was stored: there is nothing to find.
        match self.resolve_intent(&mut payment, Operation::Authorize, None).await? {
            Saved::Stored => Ok(Some(payment)),
            _ => self.superseded(Operation::Authorize, &before).await.map(Some),
        }
    }

    /// Ends an intent that nobody waits for: with the outcome that the provider has, or by calling it again.
    pub(super) async fn resolve(&mut self, mut payment: Payment) -> Result<(), Error> {
        let Some(open) = payment.intent else { return Ok(()) };
        let before = payment.clone();
        let found = self.app.find_outcome(self.order_id, open).await?;
        match self.resolve_intent(&mut payment, open, found).await? {
            Saved::Stale => self.superseded(open, &before).await.map(drop),
            Saved::Stored | Saved::Duplicate => Ok(()),
        }
    }

    /// Stores the intent, and only then calls the provider.
    async fn start(&mut self, payment: &mut Payment, operation: Operation) -> Result<Saved, Error> {
        let expected = payment.version;
        payment.set_intent(operation, self.app.now())?;
        match self.save(payment, Some(expected), &[], false).await? {
            Saved::Stored => self.resolve_intent(payment, operation, None).await,
            other => Ok(other),
        }
    }

    /// Ends the open intent: with the outcome that was found, else with the one that the provider now gives.
    async fn resolve_intent(
        &mut self,
        payment: &mut Payment,
        wanted: Operation,
        found: Option<Outcome>,
    ) -> Result<Saved, Error> {
        let Some(open) = payment.intent else { return Ok(Saved::Stored) };
        let expected = payment.version;
        let outcome = match found {
            Some(outcome) => outcome,
            // To void an authorization that has not arrived, it is revoked: making it now would hold the customer's
            // money only to release it, and without either it might be made long after this.
            None if open == Operation::Authorize && wanted == Operation::Void => {
                self.app.revoke(self.order_id, open).await?
            }
            None => self.call_provider(payment, open).await?,
        };
        let events = self.apply_outcome(payment, &outcome).await?;
        // Messages are recorded with the write after which nothing is left to do for them. With an earlier one, a
        // crash in between would leave them processed and their operation undone.
        let last = wanted == open || payment.next_step(wanted) == Ok(NextStep::Done);
        let saved = self.save(payment, Some(expected), &events, last).await?;
        // The intent has ended and nothing has changed, so trying again would change nothing either.
        if saved == Saved::Stored && events.is_empty() && wanted == open {
            return Err(Refusal::Provider(open).into());
        }
        Ok(saved)
    }

    /// Applies an outcome; after a conflict, what the provider has instead.
    pub(super) async fn apply_outcome(
        &self,
        payment: &mut Payment,
        outcome: &Outcome,
    ) -> Result<Vec<DomainEvent>, Error> {
        let mut events: Vec<DomainEvent> = payment.resolve_intent(outcome, self.app.now()).into_iter().collect();
        if *outcome == Outcome::Conflict {
            events.extend(self.follow_charges(payment).await?);
        }
        Ok(events)
    }

    /// Follows the provider where it is ahead of what is stored.
    pub(super) async fn follow_charges(&self, payment: &mut Payment) -> Result<Vec<DomainEvent>, Error> {
        let mut events = Vec::new();
        for charge in self.app.charges(self.order_id).await? {
            // Only the charge that was booked: an orphaned one is voided at the provider and never booked.
            if payment.reference.as_ref() != Some(&charge.reference) {
                continue;
            }
            while let Some(event) = payment.follow_charge(charge.state, self.app.now()) {
                events.push(event);
            }
        }
        Ok(events)
    }

    /// Calls the provider: again, for a while, when it is not available; by key only, when its answer is lost.
    async fn call_provider(&self, payment: &Payment, operation: Operation) -> Result<Outcome, Error> {
        // Without a token or charge to work on there is nothing that the provider could do.
        let Some(target) = target(payment, operation) else {
            return Ok(Outcome::Conflict);
        };
        let key = IdempotencyKey { order_id: self.order_id, operation };
        let instruction = Instruction { key, amount: payment.amount, target };
        let mut attempt = 1;
        loop {
            let pause = BACKOFF.delay(attempt);
            match self.app.execute(&instruction).await {
                Ok(outcome) => return Ok(outcome),
                // Another attempt only where the deadline leaves time for the pause and for a call after it.
                Err(ProviderError::Unavailable(_))
                    if attempt < MAX_ATTEMPTS && telemetry::remaining(pause * 4) > pause * 2 =>
                {
                    tokio::time::sleep(pause).await;
                    attempt += 1;
                }
                Err(unavailable @ ProviderError::Unavailable(_)) => return Err(unavailable.into()),
                // The call may be done, or still on its way. Where the key has no outcome yet, the intent stays open:
                // the caller is told to ask again, and the sweeper does when nobody asks.
                Err(unknown) => {
                    let found = self.app.find_outcome(self.order_id, operation).await?;
                    return found.ok_or(unknown.into());
                }
            }
        }
    }

    /// The result after a stale write: another request has changed the payment meanwhile.
    async fn superseded(&mut self, operation: Operation, before: &Payment) -> Result<Payment, Error> {
        tracing::info!(
            order.id = %self.order_id, fence = self.fence, version = before.version,
            "stale payment write rejected"
        );
        let payment = self.load_payment().await?;
        match payment.next_step(operation)? {
            NextStep::Done => Ok(payment),
            NextStep::ResolveIntent(_) | NextStep::Start => Err(Error::Busy),
        }
    }

    /// Stores a payment with what follows from its events; with the processed messages, where this is the `last` write.
    pub(super) async fn save(
        &mut self,
        payment: &Payment,
        expected: Option<u64>,
        events: &[DomainEvent],
        last: bool,
    ) -> Result<Saved, Error> {
        let now = self.app.now();
        let published = events.iter().map(|event| published::encode(*event, payment, now));
        let processed = if last { self.processed.clone() } else { ProcessedMessages::default() };
        let write = Write {
            payment,
            expected,
            fence: self.fence,
            transactions: events.iter().filter_map(|event| Transaction::of(*event, payment.amount)).collect(),
            effects: Effects { events: published.collect::<Result<_, _>>()?, receipt: processed.receipt },
            webhook: processed.webhook,
            // The sweeper comes back for an intent.
            due_at: payment.intent.map(|_| now + INTENT_TIMEOUT),
            carrier: Carrier::current(),
        };
        let saved = self.app.payments.save(write).await?;
        if saved == Saved::Stored && !events.is_empty() {
            self.app.metrics.changed(payment);
        }
        // What is recorded must not be recorded again: the next write would be a duplicate and change nothing.
        if saved == Saved::Duplicate || (last && saved == Saved::Stored) {
            self.processed = ProcessedMessages::default();
        }
        Ok(saved)
    }

    /// Records the processed messages where no write has done so.
    pub(super) async fn record_receipt(&mut self) -> Result<(), Error> {
        let processed = std::mem::take(&mut self.processed);
        if !processed.is_empty() {
            self.app.payments.record_receipt(&processed).await?;
        }
        Ok(())
    }

    /// Closes the order; `false` when it has got a payment meanwhile.
    pub(super) async fn close(&mut self) -> Result<bool, Error> {
        let (fence, now) = (self.fence, self.app.now());
        let saved = self.app.payments.close(self.order_id, fence, now, &self.processed).await?;
        if saved == Saved::Stale {
            return Ok(false);
        }
        self.processed = ProcessedMessages::default();
        Ok(true)
    }

    /// Notes that nothing of the payment is open any more, so that the sweeper does not come back for it.
    pub(super) async fn clear_due(&self) -> Result<(), Error> {
        Ok(self.app.payments.clear_due(self.order_id, self.fence).await?)
    }
}

/// What an operation works on; `None` when the payment has no such thing.
fn target(payment: &Payment, operation: Operation) -> Option<Target> {
    match operation {
        Operation::Authorize => payment.token.clone().map(Target::Token),
        Operation::Capture | Operation::Void | Operation::Refund => payment.reference.clone().map(Target::Charge),
    }
}
