//! What was begun and not ended: by a process that died, a caller that went, a lock that was lost.

use std::{sync::atomic::Ordering, time::Duration};

use payment::{
    app::Failure,
    domain::{ChargeState, OrderId, Status},
};
use telemetry::Carrier;
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    faulty::Fault,
    harness::{Service, request, wanted},
};

const LEFT_BEHIND: Duration = Duration::from_secs(10);

/// Begins an authorization and lets it die in the provider's hands.
async fn die(service: &Service, fault: Fault) -> OrderId {
    let order = OrderId::from(Uuid::now_v7());
    service.provider.fail_next(fault);
    let call = service.cashier.authorize(wanted(order, "tok_ok"));
    tokio::select! {
        _ = call => panic!("it cannot end"),
        () = service.provider.reached.notified() => order,
    }
}

/// Begins another operation and lets it die after the provider has done it.
macro_rules! die_in {
    ($service:ident, $call:expr, $fault:expr) => {
        $service.provider.fail_next($fault);
        tokio::select! {
            _ = $call => panic!("it cannot end"),
            () = $service.provider.reached.notified() => {}
        }
    };
}

#[tokio::test]
async fn an_authorization_asked_again_is_found_and_not_repeated() {
    let service = Service::start().await;
    let order = die(&service, Fault::AnswerLost).await;
    let calls = service.provider.calls.load(Ordering::SeqCst);
    let payment = service.cashier.authorize(wanted(order, "tok_ok")).await.unwrap();
    assert_eq!(payment.status, Status::Authorized);
    assert_eq!(service.provider.calls.load(Ordering::SeqCst), calls, "asked by key only");
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn an_authorization_that_never_arrived_is_made_when_asked_again() {
    let service = Service::start().await;
    let order = die(&service, Fault::LostOnTheWay).await;
    let payment = service.cashier.authorize(wanted(order, "tok_ok")).await.unwrap();
    assert_eq!(payment.status, Status::Authorized);
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn the_sweeper_resolves_what_is_ten_seconds_old() {
    for fault in [Fault::AnswerLost, Fault::LostOnTheWay] {
        let service = Service::start().await;
        let order = die(&service, fault).await;
        assert_eq!(service.audit().await.unresolved, 1);
        service.clock.advance(Duration::from_millis(9_999));
        assert_eq!(service.cashier.sweep().await.unwrap(), 0);
        service.clock.advance(Duration::from_millis(1));
        assert_eq!(service.cashier.sweep().await.unwrap(), 1);
        let payments = service.cashier.list(order).await.unwrap();
        assert_eq!(payments[0].status, Status::Authorized, "{fault:?}");
        assert_eq!(service.charges(order.uuid()).await, [ChargeState::Authorized]);
        assert_eq!(service.audit().await.unresolved, 0);
        service.clock.advance(LEFT_BEHIND * 2);
        assert_eq!(service.cashier.sweep().await.unwrap(), 0, "nothing is left");
    }
}

#[tokio::test]
async fn every_other_operation_is_resolved_too() {
    for fault in [Fault::AnswerLost, Fault::LostOnTheWay] {
        let service = Service::start().await;
        let (captured, _) = service.authorized().await;
        die_in!(service, service.cashier.capture(captured.into()), fault);
        let (voided, _) = service.authorized().await;
        die_in!(service, service.cashier.void(voided.into(), None), fault);
        let (refunded, _) = service.authorized().await;
        service.capture(refunded).await.unwrap();
        die_in!(service, service.cashier.refund(refunded.into()), fault);
        assert_eq!(service.audit().await.unresolved, 3);
        service.clock.advance(LEFT_BEHIND);
        assert_eq!(service.cashier.sweep().await.unwrap(), 3);
        for (order, state) in
            [(captured, ChargeState::Captured), (voided, ChargeState::Voided), (refunded, ChargeState::Refunded)]
        {
            assert_eq!(service.charges(order).await, [state], "{fault:?}");
        }
        let audit = service.audit().await;
        assert_eq!((audit.unresolved, audit.unbalanced, audit.charged_twice), (0, 0, 0));
        assert_eq!(audit.captured[0].amount, 2 * 1_299);
        assert_eq!(audit.refunded[0].amount, 1_299);
        assert!(audit.held.is_empty());
    }
}

#[tokio::test]
async fn a_void_finds_out_about_the_authorization_first() {
    let service = Service::start().await;
    let order = die(&service, Fault::AnswerLost).await;
    let payment = service.cashier.void(order, None).await.unwrap().unwrap();
    assert_eq!(payment.status, Status::Voided);
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Voided]);
    assert_eq!(service.kinds().await, ["payment.authorized.v1", "payment.voided.v1"]);
}

#[tokio::test]
async fn a_void_of_an_authorization_that_never_arrived_asks_for_none() {
    let service = Service::start().await;
    let order = die(&service, Fault::LostOnTheWay).await;
    let payment = service.cashier.void(order, None).await.unwrap().unwrap();
    assert_eq!(payment.status, Status::Voided);
    assert!(service.charges(order.uuid()).await.is_empty());
    let late = service.authorize(request(order.uuid(), "tok_ok")).await.unwrap();
    assert_eq!(late.status(), proto::payment::v1::Status::Voided);
    assert!(service.charges(order.uuid()).await.is_empty());
    assert_eq!(service.audit().await.unbalanced, 0);
}

#[tokio::test]
async fn a_charge_that_comes_through_after_the_void_is_let_go() {
    let service = Service::start().await;
    let order = OrderId::from(Uuid::now_v7());
    service.provider.fail_next(Fault::HeldUp);
    let other = service.another();
    let (late, ()) = tokio::join!(service.cashier.authorize(wanted(order, "tok_ok")), async {
        service.provider.reached.notified().await;
        let voided = other.void(order, None).await.unwrap().unwrap();
        assert_eq!(voided.status, Status::Voided);
        service.provider.gate.notify_one();
    });
    assert_eq!(late.unwrap().status, Status::Voided);
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Voided]);
    let audit = service.audit().await;
    assert!(audit.held.is_empty());
    assert_eq!((audit.unbalanced, audit.unresolved), (0, 0));
    assert_eq!(service.kinds().await, ["payment.voided.v1"]);
}

#[tokio::test]
async fn such_a_charge_is_found_by_the_sweeper_when_nobody_waits_for_it() {
    let service = Service::start().await;
    let order = die(&service, Fault::LostOnTheWay).await;
    service.cashier.void(order, None).await.unwrap();
    // The call was only slow: it arrives when payment has given it up.
    let instruction = payment::app::ports::Instruction {
        key: payment::app::ports::Key { order_id: order, operation: payment::domain::Operation::Authorize },
        amount: wanted(order, "tok_ok").amount,
        target: payment::app::ports::Target::Token(wanted(order, "tok_ok").token),
    };
    payment::app::ports::Provider::execute(&*service.provider, &instruction).await.unwrap();
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Authorized]);
    service.clock.advance(LEFT_BEHIND);
    assert_eq!(service.cashier.sweep().await.unwrap(), 1);
    assert_eq!(service.charges(order.uuid()).await, [ChargeState::Voided]);
    service.clock.advance(LEFT_BEHIND * 2);
    assert_eq!(service.cashier.sweep().await.unwrap(), 0);
}

#[tokio::test]
async fn an_unknown_answer_is_unavailable_until_the_provider_can_be_asked() {
    let service = Service::start().await;
    let order = Uuid::now_v7();
    service.provider.deaf(true);
    let status = service.authorize(request(order, "tok_unknown")).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let status = service.void(order).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable, "it may hold money");
    service.provider.deaf(false);
    let payment = service.authorize(request(order, "tok_unknown")).await.unwrap();
    assert_eq!(payment.status(), proto::payment::v1::Status::Authorized);
    assert_eq!(service.charges(order).await, [ChargeState::Authorized]);
}

#[tokio::test]
async fn nothing_outlasts_the_callers_deadline() {
    let service = Service::start().await;
    // A tenth of a second is kept for asking: a busy machine may lose it, but not time after time.
    let payment = testkit::eventually!(within Duration::from_secs(30), {
        let started = Instant::now();
        let deadline = Some(started + Duration::from_millis(400));
        let call = service.cashier.authorize(wanted(OrderId::from(Uuid::now_v7()), "tok_slow"));
        let result = telemetry::scope(&Carrier::default(), deadline, tracing::Span::none(), call).await;
        result.ok().filter(|_| started.elapsed() < Duration::from_secs(1)) // the provider itself takes 2 s
    });
    // The provider had done it already: asked by key, it says so.
    assert_eq!(payment.status, Status::Authorized);
    service.provider.fail_next(Fault::LostOnTheWay);
    let deadline = Instant::now() + Duration::from_millis(400);
    let other = OrderId::from(Uuid::now_v7());
    let result = telemetry::scope(
        &Carrier::default(),
        Some(deadline),
        tracing::Span::none(),
        service.cashier.authorize(wanted(other, "tok_ok")),
    )
    .await;
    assert!(matches!(result, Err(Failure::Provider(_))), "{result:?}");
}

#[tokio::test]
async fn what_refuses_to_work_is_tried_again_within_the_request() {
    let service = Service::start().await;
    let (order, _) = service.authorized().await;
    service.provider.fail_next(Fault::Refused);
    let captured = service.capture(order).await.unwrap();
    assert_eq!(captured.status(), proto::payment::v1::Status::Captured);
}
