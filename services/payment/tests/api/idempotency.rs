//! The same command from many at once has one effect.

use futures::future::join_all;
use payment::domain::ChargeState;
use proto::payment::v1::Status;
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, authorize_payment, authorize_request};

const CALLERS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_done_once_for_many_callers() {
    let app = TestApp::start().await;
    for token in ["tok_ok", "tok_unavailable", "tok_unknown"] {
        let order = Uuid::now_v7();
        let calls = join_all((0..CALLERS).map(|_| app.authorize(authorize_request(order, token)))).await;
        let first = calls[0].as_ref().unwrap();
        assert!(calls.iter().all(|call| call.as_ref().unwrap() == first), "{token}");
        let calls = join_all((0..CALLERS).map(|_| app.capture(order))).await;
        assert!(calls.iter().all(|call| call.as_ref().unwrap().status() == Status::Captured));
        let calls = join_all((0..CALLERS).map(|_| app.refund(order))).await;
        assert!(calls.iter().all(|call| call.as_ref().unwrap().status() == Status::Refunded));
        assert_eq!(app.charges(order).await, [ChargeState::Refunded]);
    }
    let audit = app.audit().await;
    assert_eq!((audit.charged_twice, audit.unbalanced, audit.unresolved), (0, 0, 0));
    assert_eq!(audit.captured[0].amount, 3 * 1_299);
    assert_eq!(audit.refunded[0].amount, 3 * 1_299);
    assert_eq!(app.events().await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn voids_from_many_callers_void_once() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    let calls = join_all((0..CALLERS).map(|_| app.void(order))).await;
    for call in calls {
        assert_eq!(call.unwrap().unwrap().status(), Status::Voided);
    }
    assert_eq!(app.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_capture_and_void_one_wins() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        let (order, _) = app.authorized().await;
        let (captured, voided) = tokio::join!(app.capture(order), app.void(order));
        assert_ne!(captured.is_ok(), voided.is_ok());
        let refused = captured.err().or(voided.err()).unwrap();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    assert_eq!(app.audit().await.unbalanced, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorize_against_void_holds_nothing_in_the_end() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        let order = Uuid::now_v7();
        let (authorized, voided) = tokio::join!(app.authorize(authorize_request(order, "tok_ok")), app.void(order));
        voided.unwrap();
        if let Err(status) = authorized {
            assert_eq!(status.code(), Code::FailedPrecondition);
        }
        assert!(!app.charges(order).await.contains(&ChargeState::Authorized));
    }
    assert!(app.audit().await.held.is_empty());
}

/// Without locks both may call the provider, which knows the key.
#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_share_no_locks_charge_once() {
    let app = TestApp::with_patient_provider().await;
    let other = app.another_process();
    for _ in 0..20 {
        let order = Uuid::now_v7();
        let command = || authorize_payment(order.into(), "tok_ok");
        let calls = tokio::join!(app.use_cases.authorize(command()), other.authorize(command()));
        assert!(calls.0.is_ok() || calls.1.is_ok());
        assert_eq!(app.charges(order).await.len(), 1);
        let calls = tokio::join!(app.use_cases.capture(order.into()), other.capture(order.into()));
        assert!(calls.0.is_ok() || calls.1.is_ok());
    }
    let audit = app.audit().await;
    assert_eq!((audit.charged_twice, audit.unbalanced), (0, 0));
    assert_eq!(audit.captured[0].amount, 20 * 1_299);
    assert_eq!(app.events().await.len(), 40);
}
