//! Compares the provider's list of charges with payments and ledger, time and again: whatever a lost webhook, a lost
//! payment or somebody else's call has left there is found, put right where that is safe, and named otherwise.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    error::Error as StdError,
    time::Duration,
};

use futures::StreamExt as _;
use resilience::Outage;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{
    App, Error,
    payment_run::PaymentRun,
    ports::{Booked, ProcessedMessages, Record},
};
use crate::domain::{Charge, ChargeReference, Discrepancy, OrderId, compare};

/// Charges of a page, and of their orders compared at the same time.
const PAGE: u32 = 500;
const CONCURRENCY: usize = 4;

/// Pauses between two pages, and between two walks: a charge is compared two or three times, by two statements for a page.
///
/// A page waits for nine times what the last one took, so that a long list takes a tenth of a processor, and less of one
/// that has other work; with orders that wait for the provider not longer than for one that does not answer.
const PAGE_PAUSE: Duration = Duration::from_millis(200);
const PAUSE_OF_WORK: u32 = 9;
const WALK_PAUSE: Duration = Duration::from_mins(5);
/// Pause after a provider that has not answered; the walk goes on where it was.
const RETRY_PAUSE: Duration = Duration::from_secs(10);

/// How long the end of the list is walked again: a charge that another process of the provider made may appear behind
/// one that was made later, and what becomes of a charge in that time is seen too.
const OVERLAP: time::Duration = time::Duration::minutes(10);

/// Longest work on one order that differs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(8);

/// Orders with discrepancies that are remembered, to be compared in each walk. More are counted as so many.
const MAX_OPEN: usize = 1_000;

/// Where in the provider's list a process is, and what it has found.
///
/// In memory: a new process walks the whole list once, and finds everything again.
#[derive(Debug, Default)]
pub struct Walk {
    /// The last charge that was compared.
    at: Option<ChargeReference>,
    /// Where the walks of the last [`OVERLAP`] ended, and when.
    ends: VecDeque<(OffsetDateTime, Option<ChargeReference>)>,
    /// Orders whose payment, ledger and charges do not agree.
    open: BTreeSet<OrderId>,
}

impl Walk {
    /// How many orders do not agree.
    pub fn discrepancies(&self) -> usize {
        self.open.len()
    }

    /// Notes in what an order does not agree, and names it the first time.
    fn note(&mut self, order: OrderId, found: Option<Vec<Discrepancy>>) {
        let Some(found) = found else { return };
        if found.is_empty() {
            self.open.remove(&order);
        } else if self.open.len() < MAX_OPEN && self.open.insert(order) {
            for found in &found {
                tracing::error!(order.id = %order, error = found as &dyn StdError, "payment and provider differ");
            }
        }
    }

    /// Begins the next walk where one ended [`OVERLAP`] ago.
    fn turn(&mut self, now: OffsetDateTime) {
        // Of a clock that was ahead nothing stays.
        self.ends.retain(|(then, _)| *then <= now);
        self.ends.push_back((now, self.at.take()));
        while self.ends.get(1).is_some_and(|(then, _)| *then <= now - OVERLAP) {
            self.ends.pop_front();
        }
        // The first end is old enough, or the whole list is younger than the overlap.
        if let Some((then, at)) = self.ends.front()
            && *then <= now - OVERLAP
        {
            self.at.clone_from(at);
        }
    }
}

pub(super) async fn compare_forever(app: &App) {
    let (mut walk, outage) = (Walk::default(), Outage::default());
    loop {
        let began = Instant::now();
        let pause = match app.compare_page(&mut walk, PAGE).await {
            Ok(more) => {
                if let Some(failures) = outage.ended() {
                    tracing::info!(failures, "charges are compared with the provider's list again");
                }
                if more { pause_between(began.elapsed()) } else { WALK_PAUSE }
            }
            Err(error) => {
                if let Some(failures) = outage.failed() {
                    let error: &dyn StdError = &error;
                    tracing::warn!(error, failures, "charges cannot be compared with the provider's list");
                }
                RETRY_PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

fn pause_between(page_took: Duration) -> Duration {
    (page_took * PAUSE_OF_WORK).clamp(PAGE_PAUSE, RETRY_PAUSE)
}

impl App {
    /// Compares the next `limit` charges of a walk; `false` at the end of the list, where the next walk begins.
    ///
    /// # Errors
    /// The provider or the store does not answer: the page is compared again.
    pub async fn compare_page(&self, walk: &mut Walk, limit: u32) -> Result<bool, Error> {
        let charges = self.list_charges(walk.at.as_ref(), limit).await?;
        let more = charges.len() >= limit as usize;
        let mut orders = self.differing(walk, &charges).await?;
        if let Some(charge) = charges.last() {
            walk.at = Some(charge.reference.clone());
        }
        if !more {
            walk.turn(self.now());
            orders.extend(&walk.open);
        }
        let compared = futures::stream::iter(orders).map(|order| async move { (order, self.settle(order).await) });
        let compared: Vec<_> = compared.buffer_unordered(CONCURRENCY).collect().await;
        for (order, found) in compared {
            walk.note(order, found);
        }
        self.metrics.discrepancies(walk.open.len());
        Ok(more)
    }

    /// The orders of these charges that have to be looked at one by one: where payment and ledger, read at once for all of
    /// them, do not agree with the order's charges on this page, and where they did not before. Of an order with charges on
    /// several pages, one of them differs from its payment.
    async fn differing(&self, walk: &Walk, charges: &[Charge]) -> Result<BTreeSet<OrderId>, Error> {
        let mut of_orders: BTreeMap<OrderId, Vec<Charge>> = BTreeMap::new();
        for charge in charges {
            of_orders.entry(charge.order_id).or_default().push(charge.clone());
        }
        let orders: Vec<OrderId> = of_orders.keys().copied().collect();
        let booked = if orders.is_empty() { Vec::new() } else { self.payments.booked(&orders).await? };
        for Booked { order_id, stored } in booked {
            let agree = |charges: &Vec<Charge>| match &stored {
                Ok((Record::Payment(payment), ledger)) => compare(Some(payment), ledger, charges).is_empty(),
                Ok((Record::Closed, ledger)) => compare(None, ledger, charges).is_empty(),
                Err(_) => false,
            };
            if !walk.open.contains(&order_id) && of_orders.get(&order_id).is_some_and(agree) {
                of_orders.remove(&order_id);
            }
        }
        Ok(of_orders.into_keys().collect())
    }

    /// In what payment, ledger and charges of an order do not agree, in the end; `None` where nobody can tell now.
    async fn settle(&self, order: OrderId) -> Option<Vec<Discrepancy>> {
        let deadline = Instant::now() + SETTLE_TIMEOUT;
        let settled = async {
            // Nearly always they do, or will when an operation that is under way has ended: the lock is left to it.
            let found = self.discrepancies(order).await?;
            if found.is_empty() || is_open(&found) {
                return Ok(found);
            }
            let mut run = PaymentRun::begin(self, order, ProcessedMessages::default()).await?;
            self.reconcile_locked(&mut run, order).await?;
            self.discrepancies(order).await
        };
        match tokio::time::timeout_at(deadline, settled).await {
            Ok(Ok(found)) => (!is_open(&found)).then_some(found),
            Ok(Err(error)) => {
                let error: &dyn StdError = &error;
                tracing::warn!(order.id = %order, error, "payment cannot be compared");
                None
            }
            Err(error) => {
                tracing::warn!(order.id = %order, %error, "payment cannot be compared");
                None
            }
        }
    }

    async fn discrepancies(&self, order: OrderId) -> Result<Vec<Discrepancy>, Error> {
        let stored = self.payments.by_order(order).await?;
        let payment = stored.and_then(|record| match record {
            Record::Payment(payment) => Some(payment),
            Record::Closed => None,
        });
        Ok(compare(payment.as_ref(), &self.payments.ledger(order).await?, &self.charges(order).await?))
    }
}

/// Whether an operation is under way; if nobody works on it any more, it is the sweeper's.
fn is_open(found: &[Discrepancy]) -> bool {
    found.iter().any(|found| matches!(found, Discrepancy::Open(_)))
}
