//! The work on one payment under its lock: intent, provider, outcome.

use std::time::Duration;

use messaging::Effects;
use telemetry::Carrier;

use super::{
    Cashier, Failure, outgoing,
    ports::{Instruction, Key, Marks, ProviderError, Record, Target, Write, Written},
};
use crate::domain::{Fact, Next, Operation, OrderId, Outcome, Payment, Refusal, Status, ledger::Transaction};

/// An intent without an outcome is the sweeper's after this long.
pub(super) const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// Steps that one request may take: at most one old intent, then its own; twice, to be safe.
const STEPS: usize = 6;

/// Calls of a provider that refuses to work, within one request.
const CALLS: u32 = 5;

/// Pause before the second call; doubles each time.
const PAUSE: Duration = Duration::from_millis(40);

/// The work of one request on one payment.
pub(super) struct Work<'a> {
    cashier: &'a Cashier,
    order_id: OrderId,
    fence: i64,
    marks: Marks,
}

impl<'a> Work<'a> {
    pub(super) fn new(cashier: &'a Cashier, order_id: OrderId, fence: i64, marks: Marks) -> Self {
        Self { cashier, order_id, fence, marks }
    }

    /// Does `operation`, after whatever was left open; returns the payment when that is done.
    pub(super) async fn carry_out(&mut self, operation: Operation, mut payment: Payment) -> Result<Payment, Failure> {
        for _ in 0..STEPS {
            let before = payment.clone();
            let written = match payment.next(operation)? {
                Next::Done => {
                    self.remember().await?;
                    return Ok(payment);
                }
                Next::Settle(open) => {
                    let found = self.cashier.find(self.order_id, open).await?;
                    self.settle(&mut payment, operation, found).await?
                }
                Next::Start => self.start(&mut payment, operation).await?,
            };
            match written {
                Written::Done => {}
                Written::Stale => return self.overtaken(operation, &before).await,
                Written::Duplicate => payment = self.cashier.payment_of(self.order_id).await?,
            }
        }
        Err(ProviderError::Unknown(None).into())
    }

    /// Opens a payment and asks the provider for the authorization.
    pub(super) async fn open(&mut self, mut payment: Payment) -> Result<Option<Payment>, Failure> {
        if self.save(&payment, None, &[], false).await? != Written::Done {
            return Ok(None);
        }
        let before = payment.clone();
        match self.settle(&mut payment, Operation::Authorize, None).await? {
            Written::Done => Ok(Some(payment)),
            _ => self.overtaken(Operation::Authorize, &before).await.map(Some),
        }
    }

    /// Ends the intent that a sweep found: with the provider's answer, or by asking again.
    pub(super) async fn resolve(&mut self, mut payment: Payment) -> Result<(), Failure> {
        let Some(open) = payment.intent else { return Ok(()) };
        let before = payment.clone();
        let found = self.cashier.find(self.order_id, open).await?;
        match self.settle(&mut payment, open, found).await? {
            Written::Stale => self.overtaken(open, &before).await.map(drop),
            Written::Done | Written::Duplicate => Ok(()),
        }
    }

    async fn start(&mut self, payment: &mut Payment, operation: Operation) -> Result<Written, Failure> {
        let expected = payment.version;
        payment.intend(operation, self.cashier.now())?;
        match self.save(payment, Some(expected), &[], false).await? {
            Written::Done => self.settle(payment, operation, None).await,
            other => Ok(other),
        }
    }

    /// Ends the open intent: with what was found, else with the provider's answer.
    async fn settle(
        &mut self,
        payment: &mut Payment,
        wanted: Operation,
        found: Option<Outcome>,
    ) -> Result<Written, Failure> {
        let Some(open) = payment.intent else { return Ok(Written::Done) };
        let expected = payment.version;
        let facts = match found {
            None if open == Operation::Authorize && wanted == Operation::Void => {
                payment.abandon(self.cashier.now()).into_iter().collect()
            }
            found => {
                let outcome = match found {
                    Some(outcome) => outcome,
                    None => self.ask(payment, open).await?,
                };
                self.apply(payment, &outcome).await?
            }
        };
        let last = wanted == open || payment.next(wanted) == Ok(Next::Done);
        let written = self.save(payment, Some(expected), &facts, last).await?;
        if written == Written::Done && facts.is_empty() && wanted == open {
            return Err(Refusal::Provider(open).into());
        }
        Ok(written)
    }

    /// Applies an answer; after a conflict, what the provider has instead.
    pub(super) async fn apply(&self, payment: &mut Payment, outcome: &Outcome) -> Result<Vec<Fact>, Failure> {
        let mut facts: Vec<Fact> = payment.settle(outcome, self.cashier.now()).into_iter().collect();
        if *outcome == Outcome::Conflict {
            facts.extend(self.follow(payment).await?);
        }
        Ok(facts)
    }

    /// Follows the provider where it is ahead of us.
    pub(super) async fn follow(&self, payment: &mut Payment) -> Result<Vec<Fact>, Failure> {
        let mut facts = Vec::new();
        for charge in self.cashier.charges(self.order_id).await? {
            if payment.reference.as_ref() != Some(&charge.reference) {
                continue;
            }
            while let Some(fact) = payment.follow(charge.state, self.cashier.now()) {
                facts.push(fact);
            }
        }
        Ok(facts)
    }

    /// Asks the provider; again for a while when it refuses to work, by key when its answer is lost.
    async fn ask(&self, payment: &Payment, operation: Operation) -> Result<Outcome, Failure> {
        let Some(target) = target(payment, operation) else {
            return Ok(Outcome::Conflict);
        };
        let key = Key { order_id: self.order_id, operation };
        let instruction = Instruction { key, amount: payment.amount, target };
        let (mut calls, mut pause) = (1, PAUSE);
        loop {
            match self.cashier.execute(&instruction).await {
                Ok(outcome) => return Ok(outcome),
                Err(ProviderError::Refused(_)) if calls < CALLS && telemetry::remaining(pause * 4) > pause * 2 => {
                    tokio::time::sleep(pause).await;
                    (calls, pause) = (calls + 1, pause * 2);
                }
                Err(refused @ ProviderError::Refused(_)) => return Err(refused.into()),
                Err(unknown) => {
                    let found = self.cashier.find(self.order_id, operation).await?;
                    return found.ok_or(unknown.into());
                }
            }
        }
    }

    /// What holds after a write came too late: somebody else took the payment over.
    ///
    /// A charge that came through although the payment was voided meanwhile is let go.
    async fn overtaken(&mut self, operation: Operation, before: &Payment) -> Result<Payment, Failure> {
        tracing::info!(
            order.id = %self.order_id, fence = self.fence, version = before.version,
            "another worker took the payment over"
        );
        let payment = self.cashier.payment_of(self.order_id).await?;
        if payment.status == Status::Voided {
            self.cashier.let_go(self.order_id).await?;
        }
        match payment.next(operation)? {
            Next::Done => Ok(payment),
            Next::Settle(_) | Next::Start => Err(Failure::Busy(None)),
        }
    }

    /// Stores a payment with what follows from the facts.
    pub(super) async fn save(
        &mut self,
        payment: &Payment,
        expected: Option<u64>,
        facts: &[Fact],
        last: bool,
    ) -> Result<Written, Failure> {
        let now = self.cashier.now();
        let events = facts.iter().map(|fact| outgoing::event(*fact, payment, now));
        let marks = if last { self.marks.clone() } else { Marks::default() };
        let unsure = payment.intent.is_some() || facts.contains(&Fact::Voided { held: false });
        let write = Write {
            payment,
            expected,
            fence: self.fence,
            books: facts.iter().filter_map(|fact| Transaction::of(*fact, payment.amount)).collect(),
            effects: Effects { events: events.collect::<Result<_, _>>()?, receipt: marks.receipt },
            webhook: marks.webhook,
            look_again: unsure.then(|| now + LEFT_BEHIND),
            carrier: Carrier::current(),
        };
        let written = self.cashier.payments.save(write).await?;
        if written == Written::Duplicate || (last && written == Written::Done) {
            self.marks = Marks::default();
        }
        Ok(written)
    }

    /// Remembers what is not remembered yet.
    pub(super) async fn remember(&mut self) -> Result<(), Failure> {
        let marks = std::mem::take(&mut self.marks);
        if !marks.is_empty() {
            self.cashier.payments.remember(&marks).await?;
        }
        Ok(())
    }

    /// What is stored for the order.
    pub(super) async fn record(&self) -> Result<Option<Record>, Failure> {
        Ok(self.cashier.payments.by_order(self.order_id).await?)
    }

    /// Closes the order; `false` when it has got a payment meanwhile.
    pub(super) async fn close(&mut self) -> Result<bool, Failure> {
        let now = self.cashier.now();
        let marks = std::mem::take(&mut self.marks);
        let written = self.cashier.payments.close(self.order_id, self.fence, now, &marks).await?;
        Ok(written != Written::Stale)
    }
}

/// What an operation works on; `None` when the payment has no such thing.
fn target(payment: &Payment, operation: Operation) -> Option<Target> {
    match operation {
        Operation::Authorize => payment.token.clone().map(Target::Token),
        Operation::Capture | Operation::Void | Operation::Refund => payment.reference.clone().map(Target::Charge),
    }
}
