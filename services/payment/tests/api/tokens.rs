//! Each of the sandbox's test tokens.

use std::time::{Duration, Instant};

use payment::domain::ChargeState;
use proto::payment::v1::{CheckTokenRequest, DeclineReason, Status};
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, authorize_request, fields};

#[tokio::test]
async fn ok_unavailable_and_unknown_end_authorized_with_one_charge() {
    let app = TestApp::start().await;
    for token in ["tok_ok", "tok_unavailable", "tok_unknown"] {
        let order = Uuid::now_v7();
        let payment = app.authorize(authorize_request(order, token)).await.unwrap();
        assert_eq!(payment.status(), Status::Authorized, "{token}");
        assert_eq!(payment.order_id, order.to_string());
        assert_eq!(payment.amount.as_ref().unwrap().amount, 1_299);
        assert_eq!(app.charges(order).await, [ChargeState::Authorized], "{token}");
    }
    assert_eq!(app.audit().await.held[0].amount, 3 * 1_299);
    assert_eq!(app.kinds().await, ["payment.authorized.v1"; 3]);
}

#[tokio::test]
async fn slow_is_waited_for() {
    let app = TestApp::start().await;
    let started = Instant::now();
    let payment = app.authorize(authorize_request(Uuid::now_v7(), "tok_slow")).await.unwrap();
    assert_eq!(payment.status(), Status::Authorized);
    assert!(started.elapsed() >= Duration::from_secs(2));
}

#[tokio::test]
async fn declines_are_final_and_say_why() {
    let app = TestApp::start().await;
    for (token, reason) in
        [("tok_declined", DeclineReason::Declined), ("tok_insufficient_funds", DeclineReason::InsufficientFunds)]
    {
        let order = Uuid::now_v7();
        let payment = app.authorize(authorize_request(order, token)).await.unwrap();
        assert_eq!((payment.status(), payment.decline_reason()), (Status::Declined, reason));
        let again = app.authorize(authorize_request(order, token)).await.unwrap();
        assert_eq!(again, payment);
        assert_eq!(app.capture(order).await.unwrap_err().code(), Code::FailedPrecondition);
        assert_eq!(app.refund(order).await.unwrap_err().code(), Code::FailedPrecondition);
    }
    assert!(app.audit().await.held.is_empty());
}

#[tokio::test]
async fn an_unknown_token_names_the_field_and_changes_nothing() {
    let app = TestApp::start().await;
    for token in ["tok_nobody", "", "two columns"] {
        let order = Uuid::now_v7();
        let status = app.authorize(authorize_request(order, token)).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{token}");
        assert_eq!(fields(&status), ["payment_token"], "{token}");
        assert!(app.list(order).await.is_empty());
    }
    assert_eq!(app.audit().await.payments, 0);
}

#[tokio::test]
async fn tokens_can_be_checked_before_anything_is_done() {
    let app = TestApp::start().await;
    for (token, known) in [("tok_ok", true), ("tok_nobody", false), ("", false)] {
        let request = CheckTokenRequest { payment_token: token.into() };
        let answer = app.order().check_token(request).await.unwrap().into_inner();
        assert_eq!(answer.known, known, "{token}");
    }
}
