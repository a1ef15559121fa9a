//! The provider's webhook through the router.

use axum::{body::Body, response::Response};
use http::{Request, StatusCode};
use payment::{
    api::http::signature::{HEADER, Signatures},
    app::ports::{Instruction, Key, Provider as _, Target},
    domain::{ChargeState, Operation},
};
use proto::payment::v1::Status;
use serde_json::{Value, json};
use time::Duration;
use tower::ServiceExt as _;
use uuid::Uuid;

use crate::{
    faulty::Fault,
    harness::{Service, WEBHOOK_SECRET, request, wanted},
};

fn body(id: &str, kind: &str, order: Uuid) -> Value {
    json!({"id": id, "type": kind, "data": {"order_id": order, "provider_reference": "ch_1"}})
}

async fn post(service: &Service, header: Option<String>, body: impl Into<Body>) -> Response {
    let mut request = Request::post("/v1/webhooks/sandbox").header("content-type", "application/json");
    if let Some(header) = header {
        request = request.header(HEADER, header);
    }
    service.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

fn signature(service: &Service, secret: &str, off: Duration, body: &str) -> String {
    use clock::Clock as _;
    Signatures::new(secret).sign(service.clock.now() + off, body.as_bytes())
}

async fn deliver(service: &Service, document: &Value) -> StatusCode {
    let body = document.to_string();
    let header = signature(service, WEBHOOK_SECRET, Duration::ZERO, &body);
    post(service, Some(header), body).await.status()
}

/// Does something at the provider without payment's knowledge.
async fn behind_our_back(service: &Service, order: Uuid, operation: Operation) {
    let charge = service.provider.charges(order.into()).await.unwrap().remove(0);
    let key = Key { order_id: order.into(), operation };
    let target = Target::Charge(charge.reference);
    let instruction = Instruction { key, amount: charge.amount, target };
    service.provider.execute(&instruction).await.unwrap();
}

#[tokio::test]
async fn a_bad_signature_or_time_is_unauthenticated() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    behind_our_back(&service, order, Operation::Capture).await;
    let body = body("evt_1", "payment.captured", order).to_string();
    let signed = |secret: &str, seconds| Some(signature(&service, secret, Duration::seconds(seconds), &body));
    for header in [
        None,
        Some("t=1,v1=00".to_owned()),
        Some(String::new()),
        signed("a guess", 0),
        signed(WEBHOOK_SECRET, -301),
        signed(WEBHOOK_SECRET, 301),
    ] {
        let answer = post(&service, header.clone(), body.clone()).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{header:?}");
    }
    let other = body.replace("captured", "refunded");
    let answer = post(&service, signed(WEBHOOK_SECRET, 0), other).await;
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(service.list(order).await[0].status(), Status::Authorized);
    for seconds in [-299, 299] {
        let answer = post(&service, signed(WEBHOOK_SECRET, seconds), body.clone()).await;
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    }
    assert_eq!(service.list(order).await[0].status(), Status::Captured);
}

#[tokio::test]
async fn it_follows_the_provider_and_books_once() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    behind_our_back(&service, order, Operation::Capture).await;
    behind_our_back(&service, order, Operation::Refund).await;
    let webhook = body("evt_1", "payment.refunded", order);
    for _ in 0..3 {
        assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    }
    let payment = service.list(order).await.remove(0);
    assert_eq!(payment.status(), Status::Refunded);
    let audit = service.audit().await;
    assert_eq!((audit.captured[0].amount, audit.refunded[0].amount), (1_299, 1_299));
    let expected = ["payment.authorized.v1", "payment.captured.v1", "payment.refunded.v1"];
    assert_eq!(service.kinds().await, expected);
}

#[tokio::test]
async fn a_webhook_that_was_seen_has_no_further_effect() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    let webhook = body("evt_1", "payment.captured", order);
    assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    behind_our_back(&service, order, Operation::Capture).await;
    service.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(service.list(order).await[0].status(), Status::Authorized, "it was not looked at");
    let fresh = body("evt_2", "payment.captured", order);
    assert_eq!(deliver(&service, &fresh).await, StatusCode::NO_CONTENT);
    assert_eq!(service.list(order).await[0].status(), Status::Captured);
}

#[tokio::test]
async fn what_it_says_is_not_believed() {
    let service = Service::start().await;
    let (order, payment) = service.authorized().await;
    for (n, kind) in ["captured", "voided", "refunded", "authorized"].iter().enumerate() {
        let webhook = body(&format!("evt_{n}"), &format!("payment.{kind}"), order);
        assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(service.list(order).await, [payment]);
}

#[tokio::test]
async fn unknown_orders_and_types_are_fine() {
    let service = Service::start().await;
    let unknown = body("evt_1", "payment.authorized", Uuid::now_v7());
    assert_eq!(deliver(&service, &unknown).await, StatusCode::NO_CONTENT);
    let payout = json!({"id": "evt_2", "type": "payout.paid", "more": {}});
    assert_eq!(deliver(&service, &payout).await, StatusCode::NO_CONTENT);
    assert_eq!(service.audit().await.payments, 0);
}

#[tokio::test]
async fn bad_bodies_are_refused_after_the_signature() {
    let service = Service::start().await;
    for (body, expected) in [
        ("{", StatusCode::BAD_REQUEST),
        ("[]", StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"id":"e","type":"payment.voided"}"#, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let header = signature(&service, WEBHOOK_SECRET, Duration::ZERO, body);
        assert_eq!(post(&service, Some(header), body).await.status(), expected, "{body}");
    }
    let large = " ".repeat((1 << 20) + 1);
    let header = signature(&service, WEBHOOK_SECRET, Duration::ZERO, &large);
    let answer = post(&service, Some(header), large).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let get = Request::get("/v1/webhooks/sandbox").body(Body::empty()).unwrap();
    let answer = service.router.clone().oneshot(get).await.unwrap();
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn it_ends_an_authorization_whose_answer_was_lost() {
    let service = Service::start().await;
    let order = Uuid::now_v7();
    service.provider.fail_next(Fault::AnswerLost);
    {
        let call = service.cashier.authorize(wanted(order.into(), "tok_ok"));
        tokio::select! {
            _ = call => panic!("it cannot end"),
            () = service.provider.reached.notified() => {}
        }
    }
    assert_eq!(service.list(order).await[0].status(), Status::Pending);
    let webhook = body("evt_1", "payment.authorized", order);
    assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(service.list(order).await[0].status(), Status::Authorized);
}

#[tokio::test]
async fn while_the_provider_is_silent_it_is_to_be_delivered_again() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    behind_our_back(&service, order, Operation::Capture).await;
    let webhook = body("evt_1", "payment.captured", order);
    service.provider.deaf(true);
    assert_eq!(deliver(&service, &webhook).await, StatusCode::SERVICE_UNAVAILABLE);
    service.provider.deaf(false);
    assert_eq!(deliver(&service, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(service.list(order).await[0].status(), Status::Captured);
    assert_eq!(service.charges(order).await, [ChargeState::Captured]);
    let declined = service.authorize(request(Uuid::now_v7(), "tok_declined")).await;
    assert!(declined.is_ok());
}
