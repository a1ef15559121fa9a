//! Operations that were begun and not ended: the process died, the caller went away, the lock was lost.

use std::{sync::atomic::Ordering, time::Duration};

use payment::{
    app::Error,
    domain::{ChargeState, OrderId, Status},
};
use telemetry::Carrier;
use time::OffsetDateTime;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    app::{TestApp, authorize_payment, authorize_request},
    faulty_provider::Fault,
};

/// How long an intent may be open before the sweeper resolves it.
const INTENT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the sweeper leaves an open intent alone at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(50);

/// Begins an authorization and drops it while the provider is being called, as a crash would.
async fn crash_in_authorize(app: &TestApp, fault: Fault) -> OrderId {
    let order = OrderId::from(Uuid::now_v7());
    app.provider.fail_next(fault);
    let call = app.use_cases.authorize(authorize_payment(order, "tok_ok"));
    tokio::select! {
        _ = call => panic!("it cannot end"),
        () = app.provider.reached.notified() => order,
    }
}

/// Begins another operation and drops it while the provider is being called.
macro_rules! crash_in {
    ($app:ident, $call:expr, $fault:expr) => {
        $app.provider.fail_next($fault);
        tokio::select! {
            _ = $call => panic!("it cannot end"),
            () = $app.provider.reached.notified() => {}
        }
    };
}

#[tokio::test]
async fn an_authorization_asked_again_is_found_and_not_repeated() {
    let app = TestApp::start().await;
    let order = crash_in_authorize(&app, Fault::AnswerLost).await;
    let calls = app.provider.calls.load(Ordering::SeqCst);
    let payment = app.use_cases.authorize(authorize_payment(order, "tok_ok")).await.unwrap();
    assert_eq!(payment.status, Status::Authorized);
    assert_eq!(app.provider.calls.load(Ordering::SeqCst), calls, "asked by key only");
    assert_eq!(app.charges(order.uuid()).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn an_authorization_that_never_arrived_is_made_when_asked_again() {
    let app = TestApp::start().await;
    let order = crash_in_authorize(&app, Fault::RequestLost).await;
    let payment = app.use_cases.authorize(authorize_payment(order, "tok_ok")).await.unwrap();
    assert_eq!(payment.status, Status::Authorized);
    assert_eq!(app.charges(order.uuid()).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn the_sweeper_resolves_what_is_ten_seconds_old() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let app = TestApp::start().await;
        let order = crash_in_authorize(&app, fault).await;
        assert_eq!(app.audit().await.unresolved, 1);
        app.clock.advance(Duration::from_millis(9_999));
        assert_eq!(app.use_cases.sweep().await.unwrap(), 0);
        app.clock.advance(Duration::from_millis(1));
        assert_eq!(app.use_cases.sweep().await.unwrap(), 1);
        let payments = app.use_cases.list_payments(order).await.unwrap();
        assert_eq!(payments[0].status, Status::Authorized, "{fault:?}");
        assert_eq!(app.charges(order.uuid()).await, [ChargeState::Authorized]);
        assert_eq!(app.audit().await.unresolved, 0);
        app.clock.advance(INTENT_TIMEOUT * 2);
        assert_eq!(app.use_cases.sweep().await.unwrap(), 0, "nothing is left");
    }
}

#[tokio::test]
async fn every_other_operation_is_resolved_too() {
    for fault in [Fault::AnswerLost, Fault::RequestLost] {
        let app = TestApp::start().await;
        let (captured, _) = app.authorized().await;
        crash_in!(app, app.use_cases.capture(captured.into()), fault);
        let (voided, _) = app.authorized().await;
        crash_in!(app, app.use_cases.void(voided.into(), None), fault);
        let (refunded, _) = app.authorized().await;
        app.capture(refunded).await.unwrap();
        crash_in!(app, app.use_cases.refund(refunded.into()), fault);
        assert_eq!(app.audit().await.unresolved, 3);
        app.clock.advance(INTENT_TIMEOUT);
        assert_eq!(app.use_cases.sweep().await.unwrap(), 3);
        for (order, state) in
            [(captured, ChargeState::Captured), (voided, ChargeState::Voided), (refunded, ChargeState::Refunded)]
        {
            assert_eq!(app.charges(order).await, [state], "{fault:?}");
        }
        let audit = app.audit().await;
        assert_eq!((audit.unresolved, audit.unbalanced, audit.charged_twice), (0, 0, 0));
        assert_eq!(audit.captured[0].amount, 2 * 1_299);
        assert_eq!(audit.refunded[0].amount, 1_299);
        assert!(audit.held.is_empty());
    }
}

#[tokio::test]
async fn a_void_finds_out_about_the_authorization_first() {
    let app = TestApp::start().await;
    let order = crash_in_authorize(&app, Fault::AnswerLost).await;
    let payment = app.use_cases.void(order, None).await.unwrap().unwrap();
    assert_eq!(payment.status, Status::Voided);
    assert_eq!(app.charges(order.uuid()).await, [ChargeState::Voided]);
    assert_eq!(app.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test]
async fn a_void_of_an_authorization_that_never_arrived_asks_for_none() {
    let app = TestApp::start().await;
    let order = crash_in_authorize(&app, Fault::RequestLost).await;
    let payment = app.use_cases.void(order, None).await.unwrap().unwrap();
    assert_eq!(payment.status, Status::Voided);
    assert!(app.charges(order.uuid()).await.is_empty());
    let late = app.authorize(authorize_request(order.uuid(), "tok_ok")).await.unwrap();
    assert_eq!(late.status(), proto::payment::v1::Status::Voided);
    assert!(app.charges(order.uuid()).await.is_empty());
    assert_eq!(app.audit().await.unbalanced, 0);
}

#[tokio::test]
async fn a_call_that_arrives_after_the_void_does_nothing() {
    let app = TestApp::start().await;
    let order = OrderId::from(Uuid::now_v7());
    app.provider.fail_next(Fault::Delayed);
    let other = app.another_process();
    let (late, ()) = tokio::join!(app.use_cases.authorize(authorize_payment(order, "tok_ok")), async {
        app.provider.reached.notified().await;
        let voided = other.void(order, None).await.unwrap().unwrap();
        assert_eq!(voided.status, Status::Voided);
        app.provider.resume.notify_one();
    });
    assert_eq!(late.unwrap().status, Status::Voided);
    assert!(app.charges(order.uuid()).await.is_empty());
    let audit = app.audit().await;
    assert!(audit.held.is_empty());
    assert_eq!((audit.unbalanced, audit.unresolved), (0, 0));
    assert_eq!(app.kinds().await, ["payment.voided.v1"]);
}

/// The provider works an authorization off when the order was cancelled long ago.
#[tokio::test]
async fn what_is_worked_off_long_after_the_void_holds_nothing() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.provider.fail_next(Fault::Late);
    app.authorize(authorize_request(order, "tok_ok")).await.unwrap_err();
    assert_eq!(app.void(order).await.unwrap().unwrap().status(), proto::payment::v1::Status::Voided);
    for _ in 0..3 {
        app.clock.advance(INTENT_TIMEOUT);
        app.use_cases.sweep().await.unwrap();
    }
    assert_eq!(app.audit().await.unresolved, 0);
    app.provider.work_off().await;
    app.clock.advance(INTENT_TIMEOUT);
    app.use_cases.sweep().await.unwrap();
    assert!(!app.charges(order).await.contains(&ChargeState::Authorized));
    assert!(app.audit().await.held.is_empty());
}

/// The provider answers no question: what it may hold is open, and asked for until it says so.
#[tokio::test]
async fn what_may_be_held_is_open_until_the_provider_says() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.provider.fail_next(Fault::Late);
    app.authorize(authorize_request(order, "tok_ok")).await.unwrap_err();
    app.provider.fail_queries(true);
    for _ in 0..3 {
        assert_eq!(app.void(order).await.unwrap_err().code(), tonic::Code::Unavailable);
        app.clock.advance(LONGEST_PAUSE);
        assert_eq!(app.use_cases.sweep().await.unwrap(), 1);
        assert_eq!(app.audit().await.unresolved, 1);
    }
    app.provider.work_off().await;
    app.provider.fail_queries(false);
    assert_eq!(app.void(order).await.unwrap().unwrap().status(), proto::payment::v1::Status::Voided);
    assert_eq!(app.charges(order).await, [ChargeState::Voided]);
    assert_eq!(app.audit().await.unresolved, 0);
}

/// A provider that does not settle a payment is asked for it again and again, and ever less often.
#[tokio::test]
async fn what_is_not_settled_is_asked_for_less_and_less_often() {
    let app = TestApp::start().await;
    crash_in_authorize(&app, Fault::AnswerLost).await;
    app.provider.fail_queries(true);
    let mut asked = 0;
    for _ in 0..360 {
        app.clock.advance(INTENT_TIMEOUT);
        asked += app.use_cases.sweep().await.unwrap();
    }
    assert!((70..80).contains(&asked), "{asked} times in an hour");
    app.provider.fail_queries(false);
    app.clock.advance(LONGEST_PAUSE);
    app.use_cases.sweep().await.unwrap();
    assert_eq!(app.audit().await.unresolved, 0);
}

#[tokio::test]
async fn an_unknown_answer_is_unavailable_until_the_provider_can_be_asked() {
    let app = TestApp::start().await;
    let order = Uuid::now_v7();
    app.provider.fail_queries(true);
    let status = app.authorize(authorize_request(order, "tok_unknown")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let status = app.void(order).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "it may hold money");
    app.provider.fail_queries(false);
    let payment = app.authorize(authorize_request(order, "tok_unknown")).await.unwrap();
    assert_eq!(payment.status(), proto::payment::v1::Status::Authorized);
    assert_eq!(app.charges(order).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn nothing_outlasts_the_callers_deadline() {
    let app = TestApp::start().await;
    // A tenth of a second is kept for asking: a busy machine may lose it, but not time after time.
    let payment = testkit::eventually!(within Duration::from_secs(30), {
        let started = Instant::now();
        let deadline = Some(started + Duration::from_millis(400));
        let call = app.use_cases.authorize(authorize_payment(OrderId::from(Uuid::now_v7()), "tok_slow"));
        let result = telemetry::scope(&Carrier::default(), deadline, tracing::Span::none(), call).await;
        result.ok().filter(|_| started.elapsed() < Duration::from_secs(1)) // the provider itself takes 2 s
    });
    // The provider had done it already: asked by key, it says so.
    assert_eq!(payment.status, Status::Authorized);
    app.provider.fail_next(Fault::RequestLost);
    let started = Instant::now();
    let deadline = Some(started + Duration::from_millis(400));
    let call = app.use_cases.authorize(authorize_payment(OrderId::from(Uuid::now_v7()), "tok_ok"));
    let result = telemetry::scope(&Carrier::default(), deadline, tracing::Span::none(), call).await;
    assert!(matches!(result, Err(Error::Provider(_))), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(2), "without the deadline it would wait for 3 s");
}

#[tokio::test]
async fn an_unavailable_provider_is_called_again_within_the_request() {
    let app = TestApp::start().await;
    let (order, _) = app.authorized().await;
    app.provider.fail_next(Fault::Unavailable);
    let captured = app.capture(order).await.unwrap();
    assert_eq!(captured.status(), proto::payment::v1::Status::Captured);
}

/// A clock that was an hour ahead when payments were made: the processes that come after go on with them.
#[tokio::test]
async fn a_clock_that_was_ahead_freezes_no_payment() {
    let (app, now) = (TestApp::start().await, OffsetDateTime::now_utc());
    app.clock.set(now + Duration::from_hours(1));
    let open = crash_in_authorize(&app, Fault::AnswerLost).await;
    let (captured, _) = app.authorized().await;
    app.clock.set(now);
    let next = app.another_process();
    assert_eq!(next.sweep().await.unwrap(), 1);
    assert_eq!(next.list_payments(open).await.unwrap()[0].status, Status::Authorized);
    assert_eq!(next.capture(captured.into()).await.unwrap().status, Status::Captured);
    assert_eq!(next.void(open, None).await.unwrap().unwrap().status, Status::Voided);
    assert_eq!(app.audit().await.unresolved, 0);
}
