//! What every store of payments keeps to.

use std::{sync::Arc, time::Duration};

use messaging::{Effects, Event, Outbox, Receipt};
use payment::{
    app::ports::{Marks, Payments, Record, WebhookId, Write, Written},
    domain::{DeclineReason, Fact, Operation, Outcome, Payment, PaymentToken, Reference, Status, ledger::Transaction},
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
    ($factory:expr) => {
        $crate::store::suite!(@ $factory;
            an_unknown_order_has_nothing,
            a_payment_reads_back_as_it_was_written,
            a_second_payment_of_an_order_is_refused,
            a_stale_version_writes_nothing,
            a_lower_fence_writes_nothing,
            an_event_handled_before_writes_nothing,
            a_webhook_handled_before_writes_nothing,
            a_closed_order_never_gets_a_payment,
            an_order_with_a_payment_is_not_closed,
            of_many_writers_one_wins,
            what_is_due_is_taken_once,
            a_rest_with_a_lower_fence_is_ignored,
            the_books_follow_the_payments,
            old_webhooks_are_forgotten,
        );
    };
    (@ $factory:expr; $($case:ident,)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            if let Some(fixture) = $factory.await {
                $crate::store::$case(fixture).await;
            }
        })*
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
    Outcome::Approved(Reference::new("ch_1"))
}

fn write(payment: &Payment, expected: Option<u64>, fence: i64) -> Write<'_> {
    Write {
        payment,
        expected,
        fence,
        books: Vec::new(),
        effects: Effects::default(),
        webhook: None,
        look_again: payment.intent.map(|_| at(10)),
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

/// Stores the next step of a payment with its fact's books and one event.
async fn step(fixture: &Fixture, payment: &mut Payment, operation: Operation) {
    if operation == Operation::Authorize {
        let written = fixture.payments.save(write(payment, None, 1)).await.unwrap();
        assert_eq!(written, Written::Done);
    } else {
        let before = payment.version;
        payment.intend(operation, at(1)).unwrap();
        let written = fixture.payments.save(write(payment, Some(before), 1)).await.unwrap();
        assert_eq!(written, Written::Done);
    }
    settle(fixture, payment, &approved()).await;
}

async fn settle(fixture: &Fixture, payment: &mut Payment, outcome: &Outcome) {
    let before = payment.version;
    let fact = payment.settle(outcome, at(2)).unwrap();
    let written = fixture
        .payments
        .save(Write {
            books: Transaction::of(fact, payment.amount).into_iter().collect(),
            effects: Effects { events: vec![event(payment)], receipt: None },
            ..write(payment, Some(before), 1)
        })
        .await
        .unwrap();
    assert_eq!(written, Written::Done);
}

pub(crate) async fn an_unknown_order_has_nothing(fixture: Fixture) {
    assert!(fixture.payments.by_order(new_id()).await.unwrap().is_none());
    assert!(fixture.payments.by_id(new_id()).await.unwrap().is_none());
    assert!(!fixture.payments.seen(&WebhookId("evt_1".into())).await.unwrap());
    fixture.payments.rest(new_id(), 1).await.unwrap();
}

pub(crate) async fn a_payment_reads_back_as_it_was_written(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    assert_eq!(stored(&fixture, &payment).await, payment);
    settle(&fixture, &mut payment, &approved()).await;
    assert_eq!(stored(&fixture, &payment).await, payment);
    assert_eq!(fixture.payments.by_id(payment.id).await.unwrap(), Some(payment));

    let mut declined = opened();
    fixture.payments.save(write(&declined, None, 1)).await.unwrap();
    let outcome = Outcome::Declined(DeclineReason::InsufficientFunds);
    settle(&fixture, &mut declined, &outcome).await;
    assert_eq!(stored(&fixture, &declined).await, declined);
    assert_eq!(declined.status, Status::Declined(DeclineReason::InsufficientFunds));
}

pub(crate) async fn a_second_payment_of_an_order_is_refused(fixture: Fixture) {
    let first = opened();
    fixture.payments.save(write(&first, None, 1)).await.unwrap();
    let second = Payment { id: new_id(), ..first.clone() };
    assert_eq!(fixture.payments.save(write(&second, None, 2)).await.unwrap(), Written::Stale);
    assert_eq!(stored(&fixture, &first).await, first);
}

pub(crate) async fn a_stale_version_writes_nothing(fixture: Fixture) {
    let mut payment = opened();
    step(&fixture, &mut payment, Operation::Authorize).await;
    let before = (stored(&fixture, &payment).await, events(&fixture).await);
    let mut next = payment.clone();
    next.follow(payment::domain::ChargeState::Captured, at(3)).unwrap();
    for expected in [payment.version - 1, payment.version + 1] {
        let stale = Write {
            books: vec![Transaction::of(Fact::Captured, payment.amount).unwrap()],
            effects: Effects { events: vec![event(&payment)], receipt: None },
            ..write(&next, Some(expected), 1)
        };
        assert_eq!(fixture.payments.save(stale).await.unwrap(), Written::Stale);
    }
    assert_eq!((stored(&fixture, &payment).await, events(&fixture).await), before);
    assert!(fixture.payments.books().await.unwrap().captured.is_empty());
}

pub(crate) async fn a_lower_fence_writes_nothing(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 7)).await.unwrap();
    payment.settle(&approved(), at(2)).unwrap();
    let stale = write(&payment, Some(1), 6);
    assert_eq!(fixture.payments.save(stale).await.unwrap(), Written::Stale);
    assert_eq!(stored(&fixture, &payment).await.status, Status::Pending);
    let same = write(&payment, Some(1), 7);
    assert_eq!(fixture.payments.save(same).await.unwrap(), Written::Done);
}

pub(crate) async fn an_event_handled_before_writes_nothing(fixture: Fixture) {
    let receipt = Receipt { consumer: "payment", event_id: Uuid::now_v7() };
    let marks = Marks { receipt: Some(receipt.clone()), webhook: None };
    assert_eq!(fixture.payments.remember(&marks).await.unwrap(), Written::Done);
    assert_eq!(fixture.payments.remember(&marks).await.unwrap(), Written::Duplicate);
    let payment = opened();
    let again = Write {
        effects: Effects { events: vec![event(&payment)], receipt: Some(receipt) },
        ..write(&payment, None, 1)
    };
    assert_eq!(fixture.payments.save(again).await.unwrap(), Written::Duplicate);
    let closed = fixture.payments.close(payment.order_id, 1, at(0), &marks).await.unwrap();
    assert_eq!(closed, Written::Duplicate);
    assert!(fixture.payments.by_order(payment.order_id).await.unwrap().is_none());
    assert_eq!(events(&fixture).await, 0);
}

pub(crate) async fn a_webhook_handled_before_writes_nothing(fixture: Fixture) {
    let webhook = (WebhookId("evt_1".into()), at(0));
    let payment = opened();
    let first = Write { webhook: Some(webhook.clone()), ..write(&payment, None, 1) };
    assert_eq!(fixture.payments.save(first).await.unwrap(), Written::Done);
    assert!(fixture.payments.seen(&webhook.0).await.unwrap());
    let other = opened();
    let again = Write { webhook: Some(webhook), ..write(&other, None, 1) };
    assert_eq!(fixture.payments.save(again).await.unwrap(), Written::Duplicate);
    assert!(fixture.payments.by_order(other.order_id).await.unwrap().is_none());
}

pub(crate) async fn a_closed_order_never_gets_a_payment(fixture: Fixture) {
    let payment = opened();
    let marks = Marks::default();
    let closed = fixture.payments.close(payment.order_id, 1, at(0), &marks).await.unwrap();
    assert_eq!(closed, Written::Done);
    let found = fixture.payments.by_order(payment.order_id).await.unwrap();
    assert_eq!(found, Some(Record::Closed));
    for expected in [None, Some(1)] {
        let written = fixture.payments.save(write(&payment, expected, 9)).await.unwrap();
        assert_eq!(written, Written::Stale);
    }
    assert_eq!(fixture.payments.books().await.unwrap().payments, 0);
}

pub(crate) async fn an_order_with_a_payment_is_not_closed(fixture: Fixture) {
    let payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    let marks = Marks::default();
    let closed = fixture.payments.close(payment.order_id, 9, at(0), &marks).await.unwrap();
    assert_eq!(closed, Written::Stale);
    assert_eq!(stored(&fixture, &payment).await, payment);
}

pub(crate) async fn of_many_writers_one_wins(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 1)).await.unwrap();
    payment.settle(&approved(), at(2)).unwrap();
    let writers = (0..16).map(|_| fixture.payments.save(write(&payment, Some(1), 1)));
    let written = futures::future::join_all(writers).await;
    let done = written.into_iter().filter(|w| *w.as_ref().unwrap() == Written::Done).count();
    assert_eq!(done, 1);
}

pub(crate) async fn what_is_due_is_taken_once(fixture: Fixture) {
    let payment = opened();
    let carrier = Carrier {
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        canary: true,
        ..Carrier::default()
    };
    let opening = Write { carrier: carrier.clone(), ..write(&payment, None, 1) };
    fixture.payments.save(opening).await.unwrap();
    let store = &fixture.payments;
    assert!(store.take_due(at(9), at(20), 10).await.unwrap().is_empty());
    let due = store.take_due(at(10), at(20), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].order_id, payment.order_id);
    assert_eq!(due[0].carrier.traceparent, carrier.traceparent);
    assert!(due[0].carrier.canary);
    assert!(store.take_due(at(19), at(30), 10).await.unwrap().is_empty());
    assert_eq!(store.take_due(at(20), at(30), 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_rest_with_a_lower_fence_is_ignored(fixture: Fixture) {
    let mut payment = opened();
    fixture.payments.save(write(&payment, None, 5)).await.unwrap();
    payment.abandon(at(1)).unwrap();
    let abandoned = Write { look_again: Some(at(10)), ..write(&payment, Some(1), 5) };
    fixture.payments.save(abandoned).await.unwrap();
    let store = &fixture.payments;
    store.rest(payment.order_id, 4).await.unwrap();
    assert_eq!(store.take_due(at(10), at(10), 10).await.unwrap().len(), 1);
    store.rest(payment.order_id, 6).await.unwrap();
    assert!(store.take_due(at(10), at(10), 10).await.unwrap().is_empty());
}

pub(crate) async fn the_books_follow_the_payments(fixture: Fixture) {
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
    let books = fixture.payments.books().await.unwrap();
    assert_eq!(books.held, [euros(1_299)]);
    assert_eq!(books.captured, [euros(2 * 1_299)]);
    assert_eq!(books.refunded, [euros(1_299)]);
    assert_eq!((books.unbalanced, books.unresolved, books.payments), (0, 1, 5));
    assert_eq!(events(&fixture).await, expected);
}

pub(crate) async fn old_webhooks_are_forgotten(fixture: Fixture) {
    let id = |n: i64| WebhookId(format!("evt_{n}"));
    for n in [0, 1] {
        let marks = Marks { receipt: None, webhook: Some((id(n), at(n))) };
        fixture.payments.remember(&marks).await.unwrap();
    }
    fixture.payments.forget_webhooks(at(0) + Duration::from_secs(1)).await.unwrap();
    assert!(!fixture.payments.seen(&id(0)).await.unwrap());
    assert!(fixture.payments.seen(&id(1)).await.unwrap());
}
