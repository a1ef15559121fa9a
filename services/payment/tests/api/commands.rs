//! What each command does in each state, and what it refuses.

use payment::domain::ChargeState;
use proto::payment::v1::{GetPaymentRequest, Money, Status};
use tonic::Code;
use uuid::Uuid;

use crate::app::{TestApp, authorize_request, fields};

#[tokio::test]
async fn capture_and_refund() {
    let app = TestApp::start().await;
    let (order, authorized) = app.authorized().await;
    let captured = app.capture(order).await.unwrap();
    assert_eq!((captured.status(), &captured.id), (Status::Captured, &authorized.id));
    assert!(captured.version > authorized.version);
    let refunded = app.refund(order).await.unwrap();
    assert_eq!(refunded.status(), Status::Refunded);
    assert_eq!(app.capture(order).await.unwrap(), refunded, "returned as it is");
    assert_eq!(app.charges(order).await, [ChargeState::Refunded]);
    let expected = ["payment.authorized.v1", "payment.captured.v1", "payment.refunded.v1"];
    assert_eq!(app.kinds().await, expected);
}

#[tokio::test]
async fn void_lets_the_money_go() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    let voided = app.void(order).await.unwrap().unwrap();
    assert_eq!(voided.status(), Status::Voided);
    assert_eq!(app.charges(order).await, [ChargeState::Voided]);
    assert!(app.audit().await.held.is_empty());
    assert_eq!(app.capture(order).await.unwrap_err().code(), Code::FailedPrecondition);
    assert_eq!(app.refund(order).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_void_before_the_authorization_closes_the_order() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    for _ in 0..2 {
        assert_eq!(app.void(order).await.unwrap(), None);
    }
    let late = app.authorize(authorize_request(order, "tok_ok")).await.unwrap_err();
    assert_eq!(late.code(), Code::FailedPrecondition);
    assert!(app.charges(order).await.is_empty());
    assert!(app.list(order).await.is_empty());
    for status in [app.capture(order).await, app.refund(order).await] {
        assert_eq!(status.unwrap_err().code(), Code::FailedPrecondition);
    }
    assert!(app.kinds().await.is_empty());
}

#[tokio::test]
async fn a_void_leaves_a_decline_as_it_is() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    let declined = app.authorize(authorize_request(order, "tok_declined")).await.unwrap();
    assert_eq!(app.void(order).await.unwrap(), Some(declined));
}

#[tokio::test]
async fn captured_money_is_not_voided_and_held_money_not_refunded() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    assert_eq!(app.refund(order).await.unwrap_err().code(), Code::FailedPrecondition);
    app.capture(order).await.unwrap();
    assert_eq!(app.void(order).await.unwrap_err().code(), Code::FailedPrecondition);
    app.refund(order).await.unwrap();
    assert_eq!(app.void(order).await.unwrap_err().code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn an_unknown_order_is_not_found() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    assert_eq!(app.capture(order).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(app.refund(order).await.unwrap_err().code(), Code::NotFound);
    assert!(app.list(order).await.is_empty());
    let unknown = GetPaymentRequest { id: order.to_string() };
    let status = app.order().get_payment(unknown).await.unwrap_err();
    assert_eq!(status.code(), Code::NotFound);
}

#[tokio::test]
async fn a_payment_is_found_by_id_and_by_order() {
    let app = TestApp::start().await;
    let (order, payment) = app.authorized().await;
    assert_eq!(app.list(order).await, std::slice::from_ref(&payment));
    let found = app.order().get_payment(GetPaymentRequest { id: payment.id.clone() }).await;
    assert_eq!(found.unwrap().into_inner().payment, Some(payment));
}

#[tokio::test]
async fn another_amount_or_user_is_refused_and_named() {
    let app = TestApp::start().await;
    let (order, payment) = app.authorized().await;
    let mut dearer = authorize_request(order, "tok_ok");
    dearer.amount.as_mut().unwrap().amount += 1;
    let mut dollars = authorize_request(order, "tok_ok");
    dollars.amount.as_mut().unwrap().currency = "USD".into();
    let mut other = authorize_request(order, "tok_ok");
    other.user_id = Uuid::now_v7().to_string();
    for (request, field) in [(dearer, "amount"), (dollars, "amount"), (other, "user_id")] {
        let status = app.authorize(request).await.unwrap_err();
        assert_eq!(status.code(), Code::AlreadyExists);
        assert_eq!(fields(&status), [field]);
    }
    assert_eq!(app.list(order).await, [payment]);
}

#[tokio::test]
async fn bad_fields_are_all_named() {
    let app = TestApp::start().await;
    let mut bad = authorize_request(Uuid::now_v7(), "");
    bad.order_id = "7".into();
    bad.user_id = String::new();
    bad.amount = Some(Money { amount: 0, currency: "EURO".into() });
    let status = app.authorize(bad.clone()).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let expected = ["order_id", "user_id", "amount.amount", "amount.currency", "payment_token"];
    assert_eq!(fields(&status), expected);
    bad.amount = None;
    let status = app.authorize(bad).await.unwrap_err();
    assert_eq!(fields(&status), ["order_id", "user_id", "amount", "payment_token"]);
    let negative = Money { amount: -5, currency: "EUR".into() };
    let request =
        proto::payment::v1::AuthorizeRequest { amount: Some(negative), ..authorize_request(Uuid::now_v7(), "tok_ok") };
    assert_eq!(fields(&app.authorize(request).await.unwrap_err()), ["amount.amount"]);
    assert_eq!(app.audit().await.payments, 0);
}

#[tokio::test]
async fn a_bad_id_is_named() {
    let app = TestApp::start().await;
    let get = app.order().get_payment(GetPaymentRequest { id: "x".into() }).await;
    assert_eq!(fields(&get.unwrap_err()), ["id"]);
    let bad = "0af7651916cd43dd8448eb211c80319c".to_owned();
    let void = app.order().void(proto::payment::v1::VoidRequest { order_id: bad }).await;
    let status = void.unwrap_err();
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["order_id".into()]));
}
