//! The same command from many at once has one effect.

use futures::future::join_all;
use payment::domain::ChargeState;
use proto::payment::v1::Status;
use tonic::Code;
use uuid::Uuid;

use crate::harness::{Service, request};

const CALLERS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_is_done_once_for_many_callers() {
    let service = Service::start().await;
    for token in ["tok_ok", "tok_unavailable", "tok_unknown"] {
        let order = Uuid::now_v7();
        let calls = join_all((0..CALLERS).map(|_| service.authorize(request(order, token)))).await;
        let first = calls[0].as_ref().unwrap();
        assert!(calls.iter().all(|call| call.as_ref().unwrap() == first), "{token}");
        let calls = join_all((0..CALLERS).map(|_| service.capture(order))).await;
        assert!(calls.iter().all(|call| call.as_ref().unwrap().status() == Status::Captured));
        let calls = join_all((0..CALLERS).map(|_| service.refund(order))).await;
        assert!(calls.iter().all(|call| call.as_ref().unwrap().status() == Status::Refunded));
        assert_eq!(service.charges(order).await, [ChargeState::Refunded]);
    }
    let audit = service.audit().await;
    assert_eq!((audit.charged_twice, audit.unbalanced, audit.unresolved), (0, 0, 0));
    assert_eq!(audit.captured[0].amount, 3 * 1_299);
    assert_eq!(audit.refunded[0].amount, 3 * 1_299);
    assert_eq!(service.events().await.len(), 9);
}

#[tokio::test(flavor = "multi_thread")]
async fn voids_from_many_callers_void_once() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    let calls = join_all((0..CALLERS).map(|_| service.void(order))).await;
    for call in calls {
        assert_eq!(call.unwrap().unwrap().status(), Status::Voided);
    }
    assert_eq!(service.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_capture_and_void_one_wins() {
    let service = Service::start().await;
    for _ in 0..10 {
        let (order, _) = service.authorized().await;
        let (captured, voided) = tokio::join!(service.capture(order), service.void(order));
        assert_ne!(captured.is_ok(), voided.is_ok());
        let refused = captured.err().or(voided.err()).unwrap();
        assert_eq!(refused.code(), Code::FailedPrecondition);
    }
    assert_eq!(service.audit().await.unbalanced, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn authorize_against_void_holds_nothing_in_the_end() {
    let service = Service::start().await;
    for _ in 0..10 {
        let order = Uuid::now_v7();
        let (authorized, voided) = tokio::join!(service.authorize(request(order, "tok_ok")), service.void(order));
        voided.unwrap();
        if let Err(status) = authorized {
            assert_eq!(status.code(), Code::FailedPrecondition);
        }
        assert!(!service.charges(order).await.contains(&ChargeState::Authorized));
    }
    assert!(service.audit().await.held.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_share_no_locks_charge_once() {
    let service = Service::start().await;
    let other = service.another();
    for _ in 0..20 {
        let order = Uuid::now_v7();
        let wanted = || crate::harness::wanted(order.into(), "tok_ok");
        let calls = tokio::join!(service.cashier.authorize(wanted()), other.authorize(wanted()));
        assert!(calls.0.is_ok() || calls.1.is_ok());
        assert_eq!(service.charges(order).await.len(), 1);
        let calls = tokio::join!(service.cashier.capture(order.into()), other.capture(order.into()));
        assert!(calls.0.is_ok() || calls.1.is_ok());
    }
    let audit = service.audit().await;
    assert_eq!((audit.charged_twice, audit.unbalanced), (0, 0));
    assert_eq!(audit.captured[0].amount, 20 * 1_299);
    assert_eq!(service.events().await.len(), 40);
}
