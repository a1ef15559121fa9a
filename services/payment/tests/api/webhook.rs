//! The provider's webhook through the router.

use bytes::Bytes;
use http::{Method, StatusCode};
use payment::{
    api::http::signature::{HEADER, SigningKey},
    app::ports::{IdempotencyKey, Instruction, Provider as _, Target},
    domain::{ChargeState, Operation},
};
use proto::payment::v1::Status;
use serde_json::{Value, json};
use testkit::http::{TestRequest, TestResponse};
use time::Duration;
use uuid::Uuid;

use crate::{
    app::{TestApp, WEBHOOK_SECRET, authorize_payment, authorize_request},
    faulty_provider::Fault,
};

fn body(id: &str, kind: &str, order: Uuid) -> Value {
    json!({"id": id, "type": kind, "data": {"order_id": order, "provider_reference": "ch_1"}})
}

fn request(app: &TestApp, method: Method) -> TestRequest {
    TestRequest::new(app.router.clone(), method, "/v1/webhooks/sandbox")
}

async fn post(app: &TestApp, header: Option<String>, body: impl Into<Bytes>) -> TestResponse {
    let mut request = request(app, Method::POST).raw_json(body);
    if let Some(header) = header {
        request = request.header(HEADER, header);
    }
    request.send().await
}

/// Signs a body as at `offset` from now.
fn signature(app: &TestApp, secret: &str, offset: Duration, body: &str) -> String {
    use clock::Clock as _;
    SigningKey::new(secret).sign(app.clock.now() + offset, body.as_bytes())
}

async fn deliver(app: &TestApp, document: &Value) -> StatusCode {
    let body = document.to_string();
    let header = signature(app, WEBHOOK_SECRET, Duration::ZERO, &body);
    post(app, Some(header), body).await.status
}

/// Has the provider do something without payment's knowledge.
async fn execute_elsewhere(app: &TestApp, order: Uuid, operation: Operation) {
    let charge = app.provider.charges(order.into()).await.unwrap().remove(0);
    let key = IdempotencyKey { order_id: order.into(), operation };
    let target = Target::Charge(charge.reference);
    let instruction = Instruction { key, amount: charge.amount.unwrap(), target };
    app.provider.execute(&instruction).await.unwrap();
}

#[tokio::test]
async fn a_bad_signature_or_time_is_unauthenticated() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    execute_elsewhere(&app, order, Operation::Capture).await;
    let body = body("evt_1", "payment.captured", order).to_string();
    let signed = |secret: &str, seconds| Some(signature(&app, secret, Duration::seconds(seconds), &body));
    for header in [
        None,
        Some("t=1,v1=00".to_owned()),
        Some(String::new()),
        signed("a guess", 0),
        signed(WEBHOOK_SECRET, -301),
        signed(WEBHOOK_SECRET, 301),
    ] {
        let response = post(&app, header.clone(), body.clone()).await;
        assert_eq!(response.status, StatusCode::UNAUTHORIZED, "{header:?}");
    }
    let other = body.replace("captured", "refunded");
    let response = post(&app, signed(WEBHOOK_SECRET, 0), other).await;
    assert_eq!(response.status, StatusCode::UNAUTHORIZED);
    assert_eq!(app.list(order).await[0].status(), Status::Authorized);
    for seconds in [-299, 299] {
        let response = post(&app, signed(WEBHOOK_SECRET, seconds), body.clone()).await;
        assert_eq!(response.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(app.list(order).await[0].status(), Status::Captured);
}

#[tokio::test]
async fn it_follows_the_provider_and_books_once() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    execute_elsewhere(&app, order, Operation::Capture).await;
    execute_elsewhere(&app, order, Operation::Refund).await;
    let webhook = body("evt_1", "payment.refunded", order);
    for _ in 0..3 {
        assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    }
    let payment = app.list(order).await.remove(0);
    assert_eq!(payment.status(), Status::Refunded);
    let audit = app.audit().await;
    assert_eq!((audit.captured[0].amount, audit.refunded[0].amount), (1_299, 1_299));
    let expected = ["payment.authorized.v1", "payment.captured.v1", "payment.refunded.v1"];
    assert_eq!(app.kinds().await, expected);
}

#[tokio::test]
async fn a_webhook_that_was_seen_has_no_further_effect() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    let webhook = body("evt_1", "payment.captured", order);
    assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    execute_elsewhere(&app, order, Operation::Capture).await;
    app.clock.advance(std::time::Duration::from_hours(24));
    assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(app.list(order).await[0].status(), Status::Authorized, "the provider was not asked");
    let fresh = body("evt_2", "payment.captured", order);
    assert_eq!(deliver(&app, &fresh).await, StatusCode::NO_CONTENT);
    assert_eq!(app.list(order).await[0].status(), Status::Captured);
}

#[tokio::test]
async fn what_it_says_is_not_trusted() {
    let app = TestApp::start().await;
    let (order, payment) = app.authorized().await;
    for (n, kind) in ["captured", "voided", "refunded", "authorized"].iter().enumerate() {
        let webhook = body(&format!("evt_{n}"), &format!("payment.{kind}"), order);
        assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    }
    assert_eq!(app.list(order).await, [payment]);
}

#[tokio::test]
async fn unknown_orders_and_types_are_fine() {
    let app = TestApp::start().await;
    let unknown = body("evt_1", "payment.authorized", Uuid::now_v7());
    assert_eq!(deliver(&app, &unknown).await, StatusCode::NO_CONTENT);
    let payout = json!({"id": "evt_2", "type": "payout.paid", "more": {}});
    assert_eq!(deliver(&app, &payout).await, StatusCode::NO_CONTENT);
    assert_eq!(app.audit().await.payments, 0);
}

#[tokio::test]
async fn bad_bodies_are_refused_after_the_signature() {
    let app = TestApp::start().await;
    for (body, expected) in [
        ("{", StatusCode::BAD_REQUEST),
        ("[]", StatusCode::UNPROCESSABLE_ENTITY),
        (r#"{"id":"e","type":"payment.voided"}"#, StatusCode::UNPROCESSABLE_ENTITY),
    ] {
        let header = signature(&app, WEBHOOK_SECRET, Duration::ZERO, body);
        assert_eq!(post(&app, Some(header), body).await.status, expected, "{body}");
    }
    let large = " ".repeat((1 << 20) + 1);
    let header = signature(&app, WEBHOOK_SECRET, Duration::ZERO, &large);
    let response = post(&app, Some(header), large).await;
    assert_eq!(response.status, StatusCode::PAYLOAD_TOO_LARGE);
    let response = request(&app, Method::GET).send().await;
    assert_eq!(response.status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn it_ends_an_authorization_whose_answer_was_lost() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.provider.fail_next(Fault::AnswerLost);
    {
        let call = app.use_cases.authorize(authorize_payment(order.into(), "tok_ok"));
        tokio::select! {
            _ = call => panic!("it cannot end"),
            () = app.provider.reached.notified() => {}
        }
    }
    assert_eq!(app.list(order).await[0].status(), Status::Pending);
    let webhook = body("evt_1", "payment.authorized", order);
    assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(app.list(order).await[0].status(), Status::Authorized);
}

#[tokio::test]
async fn while_the_provider_gives_no_answer_it_is_to_be_delivered_again() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    execute_elsewhere(&app, order, Operation::Capture).await;
    let webhook = body("evt_1", "payment.captured", order);
    app.provider.fail_queries(true);
    assert_eq!(deliver(&app, &webhook).await, StatusCode::SERVICE_UNAVAILABLE);
    app.provider.fail_queries(false);
    assert_eq!(deliver(&app, &webhook).await, StatusCode::NO_CONTENT);
    assert_eq!(app.list(order).await[0].status(), Status::Captured);
    assert_eq!(app.charges(order).await, [ChargeState::Captured]);
    let declined = app.authorize(authorize_request(Uuid::now_v7(), "tok_declined")).await;
    assert!(declined.is_ok());
}

#[tokio::test]
async fn the_committed_description_is_this_one() {
    let app = TestApp::start().await;
    let document = TestRequest::new(app.router.clone(), Method::GET, "/openapi.json").send().await;
    testkit::committed("docs/openapi/payment.json", std::str::from_utf8(&document.bytes).unwrap());
    let operation = &document.body["paths"]["/v1/webhooks/sandbox"]["post"];
    let answers: Vec<_> = operation["responses"].as_object().unwrap().keys().collect();
    assert_eq!(answers, ["204", "400", "401", "413", "415", "422", "500", "503", "504"]);
}

/// What the provider signs may still be anything: it is taken or refused, and nothing breaks.
#[tokio::test]
async fn whatever_is_signed_is_taken_or_refused() {
    use clock::Clock as _;
    use proptest::{collection::vec, prelude::*, strategy::ValueTree as _, test_runner::TestRunner};

    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    let value = prop_oneof![
        "\\PC{0,40}".prop_map(|text| json!(text).to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        Just(json!(order).to_string()),
        Just("null".to_owned()),
        (1..3_000_usize).prop_map(|depth| "[".repeat(depth)),
        (1..3_000_usize).prop_map(|depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth))),
    ];
    let template = (vec(value, 4), prop::sample::select(vec!["payment.captured", "payment.x", "", "payment.voided"]));
    let documents = template.prop_map(|(values, kind)| {
        let [id, order, reference, more] = values.try_into().unwrap();
        format!(
            r#"{{"id":{id},"type":{},"data":{{"order_id":{order},"provider_reference":{reference}}},"more":{more}}}"#,
            json!(kind)
        )
    });
    let bodies = prop_oneof![vec(any::<u8>(), 0..200), documents.prop_map(String::into_bytes)];
    let mut runner = TestRunner::default();
    for _ in 0..100 {
        let body = bodies.new_tree(&mut runner).unwrap().current();
        let header = SigningKey::new(WEBHOOK_SECRET).sign(app.clock.now(), &body);
        let begun = std::time::Instant::now();
        let answer = post(&app, Some(header), body.clone()).await;
        let shown = String::from_utf8_lossy(&body).into_owned();
        assert!([204, 400, 422].contains(&answer.status.as_u16()), "{}: {shown}", answer.status);
        assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{shown}");
    }
}
