//! The contract of `Payments`: what every store of payments has to do.

use std::{sync::Arc, time::Duration};

use messaging::{Effects, Event, Outbox, Receipt};
use payment::{
    app::ports::{Pauses, Payments, ProcessedMessages, Record, Saved, WebhookId, Write},
    domain::{
        ChargeReference, DeclineReason, DomainEvent, Operation, Outcome, Payment, PaymentToken, Status,
        ledger::Transaction,
    },
};
use telemetry::Carrier;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{euros, new_id};

/// A fresh store, and the outbox that belongs to it.
pub(crate) struct Fixture {
    pub(crate) payments: Arc<dyn Payments>,
    pub(crate) outbox: Arc<dyn Outbox>,
    /// Holds the files while the test runs.
    pub(crate) _folder: Option<testkit::TempDir>,
}

macro_rules! suite {
    ($run:path, $how:tt) => {
        $run! { $how [crate] payments {
            an_unknown_order_has_nothing,
            a_payment_reads_back_as_it_was_written,
            a_second_payment_of_an_order_is_refused,
            a_stale_version_writes_nothing,
            a_lower_fence_writes_nothing,
            an_event_processed_before_writes_nothing,
            a_webhook_processed_before_writes_nothing,
            a_closed_order_never_gets_a_payment,
            an_order_with_a_payment_is_not_closed,
            of_many_writers_one_wins,
            what_is_due_is_claimed_once,
            clearing_with_a_lower_fence_is_ignored,
            the_totals_follow_the_payments,
            orders_are_listed_by_id_with_their_ledger,
            old_webhooks_are_deleted,
        } }
    };
}
pub(crate) use suite;

fn at(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(1_800_000_000 + seconds).unwrap()
}

fn opened() -> Payment {
    let token = PaymentToken::parse("tok_ok").unwrap();
    Payment::open((new_id(), new_id(), new_id()), euros(1_299), token, at(0))
}

fn approved() -> Outcome {
    Outcome::Approved(ChargeReference::new("ch_1"))
}

fn write(payment: &Payment, expected: Option<u64>, fence: i64) -> Write<'_> {
    Write {
        payment,
        expected,
        fence,
        transactions: Vec::new(),
        effects: Effects::default(),
        webhook: None,
        due_at: payment.intent.map(|_| at(10)),
        carrier: Carrier::default(),
    }
}

fn event(payment: &Payment) -> Event {
    Event::new("payment.test.v1", "payment", payment.order_id, at(0), "data").unwrap()
}

async fn stored(fixture: &Fixture, payment: &Payment) -> Payment {
    match fixture.payments.by_order(payment.order_id).await.unwrap() {
        Some(Record::Payment(payment)) => payment,
        other => panic!("{other:?}"),
    }
}

async fn events(fixture: &Fixture) -> u64 {
    fixture.outbox.depth().await.unwrap().count
}

/// Carries out an operation as the use cases do: stores the intent, then the outcome.
async fn step(fixture: &Fixture, payment: &mut Payment, operation: Operation) {
    if operation == Operation::Authorize {
        let saved = fixture.payments.save(write(payment, None, 1)).await.unwrap();
        assert_eq!(saved, Saved::Stored);
    } else {
        let before = payment.version;
        payment.set_intent(operation, at(1)).unwrap();
        let saved = fixture.payments.save(write(payment, Some(before), 1)).await.unwrap();
        assert_eq!(saved, Saved::Stored);
    }
    resolve(fixture, payment, &approved()).await;
}

async fn resolve(fixture: &Fixture, payment: &mut Payment, outcome: &Outcome) {
    let before = payment.version;
    let transition = payment.resolve_intent(outcome, at(2)).unwrap();
    let saved = fixture
        .payments
        .save(Write {
            transactions: Transaction::of(transition, payment.amount).into_iter().collect(),
            effects: Effects { events: vec![event(payment)], receipt: None },
            ..write(payment, Some(before), 1)
        })
        .await
        .unwrap();
    assert_eq!(saved, Saved::Stored);
}

pub(crate) async fn an_unknown_order_has_nothing(fixture: Fixture) {
    assert!(fixture.payments.by_order(new_id()).await.unwrap().is_none());
    assert!(fixture.payments.by_id(new_id()).await.unwrap().is_none());
    assert!(!fixture.payments.is_processed(&WebhookId("evt_1".into())).await.unwrap());
    fixture.payments.clear_due(new_id(), 1).await.unwrap();
}

pub(crate) async fn a_payment_reads_back_as_it_was_written(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    assert_eq!(stored(&fixture, &payment).await, payment);
    resolve(&fixture, &mut payment, &approved()).await;
    assert_eq!(stored(&fixture, &payment).await, payment);
    assert_eq!(fixture.payments.by_id(payment.id).await.unwrap(), Some(payment));

    let mut declined = opened();
    fixture.payments.save(write(&declined, None, 1)).await.unwrap();
    let outcome = Outcome::Declined(DeclineReason::InsufficientFunds);
    resolve(&fixture, &mut declined, &outcome).await;
    assert_eq!(stored(&fixture, &declined).await, declined);
    assert_eq!(declined.status, Status::Declined(DeclineReason::InsufficientFunds));
}

pub(crate) async fn a_second_payment_of_an_order_is_refused(fixture: Fixture) {
    let first = opened();
    fixture.payments.save(write(&first, None, 1)).await.unwrap();
    let second = Payment { id: new_id(), ..first.clone() };
    assert_eq!(fixture.payments.save(write(&second, None, 2)).await.unwrap(), Saved::Stale);
    assert_eq!(stored(&fixture, &first).await, first);
}

pub(crate) async fn a_stale_version_writes_nothing(fixture: Fixture) {
    let mut payment = opened();
    step(&fixture, &mut payment, Operation::Authorize).await;
    let before = (stored(&fixture, &payment).await, events(&fixture).await);
    let mut next = payment.clone();
    next.follow_charge(payment::domain::ChargeState::Captured, at(3)).unwrap();
    for expected in [payment.version - 1, payment.version + 1] {
        let stale = Write {
            transactions: vec![Transaction::of(DomainEvent::Captured, payment.amount).unwrap()],
            effects: Effects { events: vec![event(&payment)], receipt: None },
            ..write(&next, Some(expected), 1)
        };
        assert_eq!(fixture.payments.save(stale).await.unwrap(), Saved::Stale);
    }
    assert_eq!((stored(&fixture, &payment).await, events(&fixture).await), before);
    assert!(fixture.payments.totals().await.unwrap().captured.is_empty());
}

pub(crate) async fn a_lower_fence_writes_nothing(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 7)).await.unwrap();
    payment.resolve_intent(&approved(), at(2)).unwrap();
    let stale = write(&payment, Some(1), 6);
    assert_eq!(fixture.payments.save(stale).await.unwrap(), Saved::Stale);
    assert_eq!(stored(&fixture, &payment).await.status, Status::Pending);
    let same = write(&payment, Some(1), 7);
    assert_eq!(fixture.payments.save(same).await.unwrap(), Saved::Stored);
}

pub(crate) async fn an_event_processed_before_writes_nothing(fixture: Fixture) {
    let receipt = Receipt { consumer: "payment", event_id: Uuid::now_v7() };
    let processed = ProcessedMessages { receipt: Some(receipt.clone()), webhook: None };
    assert_eq!(fixture.payments.record_receipt(&processed).await.unwrap(), Saved::Stored);
    assert_eq!(fixture.payments.record_receipt(&processed).await.unwrap(), Saved::Duplicate);
    let payment = opened();
    let again = Write {
        effects: Effects { events: vec![event(&payment)], receipt: Some(receipt) },
        ..write(&payment, None, 1)
    };
    assert_eq!(fixture.payments.save(again).await.unwrap(), Saved::Duplicate);
    let closed = fixture.payments.close(payment.order_id, 1, at(0), &processed).await.unwrap();
    assert_eq!(closed, Saved::Duplicate);
    assert!(fixture.payments.by_order(payment.order_id).await.unwrap().is_none());
    assert_eq!(events(&fixture).await, 0);
}

pub(crate) async fn a_webhook_processed_before_writes_nothing(fixture: Fixture) {
    let webhook = (WebhookId("evt_1".into()), at(0));
    let payment = opened();
    let first = Write { webhook: Some(webhook.clone()), ..write(&payment, None, 1) };
    assert_eq!(fixture.payments.save(first).await.unwrap(), Saved::Stored);
    assert!(fixture.payments.is_processed(&webhook.0).await.unwrap());
    let other = opened();
    let again = Write { webhook: Some(webhook), ..write(&other, None, 1) };
    assert_eq!(fixture.payments.save(again).await.unwrap(), Saved::Duplicate);
    assert!(fixture.payments.by_order(other.order_id).await.unwrap().is_none());
}

pub(crate) async fn a_closed_order_never_gets_a_payment(fixture: Fixture) {
    let payment = opened();
    let nothing = ProcessedMessages::default();
    let closed = fixture.payments.close(payment.order_id, 1, at(0), &nothing).await.unwrap();
    assert_eq!(closed, Saved::Stored);
    let found = fixture.payments.by_order(payment.order_id).await.unwrap();
    assert_eq!(found, Some(Record::Closed));
    for expected in [None, Some(1)] {
        let saved = fixture.payments.save(write(&payment, expected, 9)).await.unwrap();
        assert_eq!(saved, Saved::Stale);
    }
    assert_eq!(fixture.payments.totals().await.unwrap().payments, 0);
}

pub(crate) async fn an_order_with_a_payment_is_not_closed(fixture: Fixture) {
    let payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    let nothing = ProcessedMessages::default();
    let closed = fixture.payments.close(payment.order_id, 9, at(0), &nothing).await.unwrap();
    assert_eq!(closed, Saved::Stale);
    assert_eq!(stored(&fixture, &payment).await, payment);
}

pub(crate) async fn of_many_writers_one_wins(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    payment.resolve_intent(&approved(), at(2)).unwrap();
    let writers = (0..16).map(|_| fixture.payments.save(write(&payment, Some(1), 1)));
    let saved = futures::future::join_all(writers).await;
    let done = saved.into_iter().filter(|saved| *saved.as_ref().unwrap() == Saved::Stored).count();
    assert_eq!(done, 1);
}

pub(crate) async fn what_is_due_is_claimed_once(fixture: Fixture) {
    let payment = opened();
    let carrier = Carrier {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        canary: true,
        ..Carrier::default()
    };
    let opening = Write { carrier: carrier.clone(), ..write(&payment, None, 1) };
    fixture.payments.save(opening).await.unwrap();
    let store = &fixture.payments;
    let pauses = Pauses { first: Duration::from_secs(10), longest: Duration::from_secs(30) };
    assert!(store.claim_due(at(9), pauses, 10).await.unwrap().is_empty());
    let due = store.claim_due(at(10), pauses, 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].order_id, payment.order_id);
    assert_eq!(due[0].carrier.traceparent, carrier.traceparent);
    assert!(due[0].carrier.canary);
    // It comes back ever later, up to the longest pause.
    for (attempts, next) in [(2, 20), (3, 40), (4, 70), (5, 100)] {
        assert!(store.claim_due(at(next - 1), pauses, 10).await.unwrap().is_empty());
        assert_eq!(store.claim_due(at(next), pauses, 10).await.unwrap()[0].attempts, attempts);
    }
    let mut authorized = payment.clone();
    authorized.resolve_intent(&approved(), at(101)).unwrap();
    authorized.set_intent(Operation::Capture, at(102)).unwrap();
    let again = Write { due_at: Some(at(110)), ..write(&authorized, Some(1), 1) };
    assert_eq!(store.save(again).await.unwrap(), Saved::Stored);
    assert_eq!(store.claim_due(at(110), pauses, 10).await.unwrap()[0].attempts, 1, "another intent");
}

pub(crate) async fn clearing_with_a_lower_fence_is_ignored(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 5)).await.unwrap();
    payment.resolve_intent(&Outcome::Revoked, at(1)).unwrap();
    let revoked = Write { due_at: Some(at(10)), ..write(&payment, Some(1), 5) };
    fixture.payments.save(revoked).await.unwrap();
    let store = &fixture.payments;
    store.clear_due(payment.order_id, 4).await.unwrap();
    let pauses = Pauses { first: Duration::ZERO, longest: Duration::ZERO };
    assert_eq!(store.claim_due(at(10), pauses, 10).await.unwrap().len(), 1);
    store.clear_due(payment.order_id, 6).await.unwrap();
    assert!(store.claim_due(at(10), pauses, 10).await.unwrap().is_empty());
}

pub(crate) async fn the_totals_follow_the_payments(fixture: Fixture) {
    use Operation::{Authorize, Capture, Refund, Void};
    let ways: [&[Operation]; 4] =
        [&[Authorize], &[Authorize, Void], &[Authorize, Capture], &[Authorize, Capture, Refund]];
    let mut expected = 0;
    for way in ways {
        let mut payment = opened();
        for operation in way {
            step(&fixture, &mut payment, *operation).await;
            expected += 1;
        }
    }
    fixture.payments.save(write(&opened(), None, 1)).await.unwrap();
    let totals = fixture.payments.totals().await.unwrap();
    assert_eq!(totals.held, [euros(1_299)]);
    assert_eq!(totals.captured, [euros(2 * 1_299)]);
    assert_eq!(totals.refunded, [euros(1_299)]);
    assert_eq!((totals.unbalanced, totals.unresolved, totals.payments), (0, 1, 5));
    assert_eq!(fixture.payments.imbalances(9).await.unwrap(), [euros(0)]);
    assert_eq!(events(&fixture).await, expected);
}

pub(crate) async fn old_webhooks_are_deleted(fixture: Fixture) {
    let id = |n: i64| WebhookId(format!("evt_{n}"));
    for n in [0, 1, 2] {
        let processed = ProcessedMessages { receipt: None, webhook: Some((id(n), at(n))) };
        fixture.payments.record_receipt(&processed).await.unwrap();
    }
    let delete = async || fixture.payments.delete_webhooks(at(2), 1).await.unwrap();
    assert_eq!(delete().await, 1);
    assert!(!fixture.payments.is_processed(&id(0)).await.unwrap(), "the oldest first");
    assert!(fixture.payments.is_processed(&id(1)).await.unwrap());
    assert_eq!((delete().await, delete().await), (1, 0));
    assert!(!fixture.payments.is_processed(&id(1)).await.unwrap());
    assert!(fixture.payments.is_processed(&id(2)).await.unwrap(), "it came later");
}

pub(crate) async fn orders_are_listed_by_id_with_their_ledger(fixture: Fixture) {
    let (mut expected, closed) = (Vec::new(), new_id());
    for operations in [&[][..], &[Operation::Void], &[Operation::Capture, Operation::Refund]] {
        let mut payment = opened();
        step(&fixture, &mut payment, Operation::Authorize).await;
        for operation in operations {
            step(&fixture, &mut payment, *operation).await;
        }
        let booked = [&[Operation::Authorize], operations].concat();
        expected.push((payment.order_id, Some(payment.status), booked));
    }
    fixture.payments.close(closed, 1, at(0), &ProcessedMessages::default()).await.unwrap();
    expected.push((closed, None, Vec::new()));
    expected.sort_unstable_by_key(|(order, ..)| *order);
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = fixture.payments.page(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.order_id);
        for booked in page {
            let (record, ledger) = booked.stored.unwrap();
            assert_eq!(fixture.payments.ledger(booked.order_id).await.unwrap(), ledger);
            let status = match record {
                Record::Payment(payment) => Some(payment.status),
                Record::Closed => None,
            };
            assert!(
                ledger.iter().all(|transaction| transaction.entries.iter().map(|entry| entry.amount).sum::<i64>() == 0)
            );
            let operation = |operation| ledger.iter().any(|transaction| transaction.operation == operation);
            let booked_are = Operation::ALL.into_iter().filter(|of| operation(*of)).collect();
            listed.push((booked.order_id, status, booked_are));
        }
    }
    assert_eq!(listed, expected);
    let asked: Vec<_> = expected.iter().skip(1).map(|(order, ..)| *order).chain([new_id()]).collect();
    let mut found = fixture.payments.booked(&asked).await.unwrap();
    found.sort_unstable_by_key(|booked| booked.order_id);
    let listed = fixture.payments.page(Some(expected[0].0), 100).await.unwrap();
    assert_eq!(format!("{found:?}"), format!("{listed:?}"), "the same, and nothing for an order that has nothing");
}
