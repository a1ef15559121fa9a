//! The provider's list beside payments and ledger: what a lost webhook, a lost payment or somebody else's call has left.

use std::time::Duration;

use payment::{
    app::{
        comparison::Walk,
        ports::{IdempotencyKey, Instruction, Provider as _, Target},
    },
    domain::{ChargeState, Operation, OrderId},
};
use proto::payment::v1::{AuditChargesRequest, AuditPaymentsRequest, AuditedPayment, Status};
use uuid::Uuid;

use crate::{
    app::{TestApp, authorize_request},
    faulty_provider::Fault,
};

/// Has the provider charge for an order without payment's knowledge, and capture that where so told.
async fn charge_elsewhere(app: &TestApp, order: Uuid, capture: bool) {
    let key = |operation| IdempotencyKey { order_id: OrderId::from(order), operation };
    let token = payment::domain::PaymentToken::parse("tok_ok").unwrap();
    let amount = money::Money::new(1_299, money::Currency::parse("EUR").unwrap());
    let call = Instruction { key: key(Operation::Authorize), amount, target: Target::Token(token) };
    let outcome = app.provider.execute(&call).await.unwrap();
    if let (true, payment::domain::Outcome::Approved(charge)) = (capture, outcome) {
        let call = Instruction { key: key(Operation::Capture), amount, target: Target::Charge(charge) };
        app.provider.execute(&call).await.unwrap();
    }
}

/// Walks the whole list twice, so that what was put right is found to be.
async fn compare(app: &TestApp) -> usize {
    let mut walk = Walk::default();
    for _ in 0..2 {
        while app.use_cases.compare_page(&mut walk, 2).await.unwrap() {}
    }
    walk.discrepancies()
}

/// What an audit says of an order.
async fn audited(app: &TestApp, order: Uuid) -> AuditedPayment {
    let request = AuditPaymentsRequest { after: String::new(), limit: 1_000 };
    let page = app.order().audit_payments(request).await.unwrap().into_inner().payments;
    page.into_iter().find(|payment| payment.order_id == order.to_string()).unwrap()
}

/// Orders with a payment of each kind: voided, closed, declined, authorized, captured, refunded.
async fn one_of_each(app: &TestApp) -> [Uuid; 6] {
    let [voided, authorized, captured, refunded] =
        [app.authorized().await.0, app.authorized().await.0, app.authorized().await.0, app.authorized().await.0];
    let [closed, declined] = [Uuid::now_v7(), Uuid::now_v7()];
    app.void(voided).await.unwrap();
    app.void(closed).await.unwrap();
    app.authorize(authorize_request(declined, "tok_declined")).await.unwrap();
    app.capture(captured).await.unwrap();
    app.capture(refunded).await.unwrap();
    app.refund(refunded).await.unwrap();
    [voided, closed, declined, authorized, captured, refunded]
}

#[tokio::test]
async fn what_agrees_is_left_alone() {
    let app = TestApp::start().await;
    for order in one_of_each(&app).await {
        assert_eq!(audited(&app, order).await.discrepancies, [""; 0]);
    }
    let calls = app.provider.releases();
    assert_eq!(compare(&app).await, 0);
    assert_eq!(app.provider.releases(), calls);
}

/// Nobody is told of any of these, and all of them held a customer's money for good.
#[tokio::test]
async fn money_that_is_held_for_nothing_is_released() {
    let app = TestApp::start().await;
    let orders = one_of_each(&app).await;
    let before = futures::future::join_all(orders.iter().map(|order| app.charges(*order))).await;
    for order in orders {
        charge_elsewhere(&app, order, false).await;
        assert!(!audited(&app, order).await.discrepancies.is_empty());
    }
    assert_eq!(compare(&app).await, 0);
    for (order, mut expected) in orders.into_iter().zip(before) {
        // A closed order's key was never used, so nothing was revoked, and a late call is carried out.
        expected.push(ChargeState::Voided);
        assert_eq!(app.charges(order).await, expected, "the payment's own charge stays as it is");
        assert_eq!(audited(&app, order).await.discrepancies, [""; 0]);
    }
}

/// Whose it is has to be found out first; until then it is counted and named.
#[tokio::test]
async fn money_that_was_taken_for_nothing_is_named() {
    let app = TestApp::start().await;
    let orders = one_of_each(&app).await;
    for order in orders {
        charge_elsewhere(&app, order, true).await;
    }
    assert_eq!(compare(&app).await, orders.len());
    for order in orders {
        assert!(app.charges(order).await.contains(&ChargeState::Captured));
        let found = audited(&app, order).await.discrepancies;
        assert!(found.len() == 1 && found[0].contains("captured, belongs to no payment"), "{found:?}");
    }
}

#[tokio::test]
async fn a_charge_of_an_order_that_payment_does_not_know_is_named() {
    let app = TestApp::start().await;
    app.authorized().await;
    let orders = [Uuid::now_v7(), Uuid::now_v7()];
    charge_elsewhere(&app, orders[0], false).await;
    charge_elsewhere(&app, orders[1], true).await;
    assert_eq!(compare(&app).await, 2);
    assert_eq!(app.charges(orders[0]).await, [ChargeState::Authorized], "its payment may have been lost");
    let request = AuditChargesRequest { after: String::new(), limit: 1_000 };
    let unknown = app.order().audit_charges(request).await.unwrap().into_inner().unknown;
    let unknown: Vec<_> = unknown.into_iter().map(|charge| (charge.order_id, charge.state)).collect();
    let [held, taken] = orders.map(|order| order.to_string());
    assert_eq!(unknown, [(held, "authorized".to_owned()), (taken, "captured".to_owned())]);
}

#[tokio::test]
async fn a_lost_webhook_is_made_up_for() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    let charge = app.provider.charges(order.into()).await.unwrap().remove(0);
    for operation in [Operation::Capture, Operation::Refund] {
        let key = IdempotencyKey { order_id: order.into(), operation };
        let target = Target::Charge(charge.reference.clone());
        app.provider.execute(&Instruction { key, amount: charge.amount.unwrap(), target }).await.unwrap();
    }
    assert_eq!(compare(&app).await, 0);
    assert_eq!(app.list(order).await[0].status(), Status::Refunded);
    let audit = app.audit().await;
    assert_eq!((audit.captured[0].amount, audit.refunded[0].amount, audit.unbalanced), (1_299, 1_299, 0));
}

/// The charge of an intent that is open is no orphan, and its lock belongs to whoever works on it.
#[tokio::test]
async fn what_is_under_way_is_left_to_whoever_does_it() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.provider.fail_next(Fault::AnswerLost);
    {
        let call = app.use_cases.authorize(crate::app::authorize_payment(order.into(), "tok_ok"));
        tokio::select! {
            _ = call => panic!("it cannot end"),
            () = app.provider.reached.notified() => {}
        }
    }
    let mut walk = Walk::default();
    app.use_cases.compare_page(&mut walk, 10).await.unwrap();
    assert_eq!(app.charges(order).await, [ChargeState::Authorized]);
    assert_eq!((walk.discrepancies(), app.list(order).await[0].status()), (0, Status::Pending));
    app.clock.advance(Duration::from_secs(10));
    app.use_cases.sweep().await.unwrap();
    assert_eq!((compare(&app).await, app.list(order).await[0].status()), (0, Status::Authorized));
}

/// A charge that appears at the end of the list while it is walked, and what becomes of one later, is seen by the next walk.
#[tokio::test]
async fn the_end_of_the_list_is_walked_again() {
    let app = TestApp::start().await;
    let mut walk = Walk::default();
    let (order, _) = app.authorized().await;
    for _ in 0..100 {
        assert!(!app.use_cases.compare_page(&mut walk, 10).await.unwrap());
        app.clock.advance(Duration::from_secs(10));
    }
    let (later, _) = app.authorized().await;
    charge_elsewhere(&app, order, true).await;
    charge_elsewhere(&app, later, true).await;
    app.use_cases.compare_page(&mut walk, 10).await.unwrap();
    assert_eq!(walk.discrepancies(), 2);
    app.clock.advance(Duration::from_hours(1));
    for _ in 0..3 {
        app.use_cases.compare_page(&mut walk, 10).await.unwrap();
    }
    assert_eq!(walk.discrepancies(), 2, "what is wrong stays counted while it is");
}
