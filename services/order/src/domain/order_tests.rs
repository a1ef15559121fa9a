//! The state machine: its table, and what holds whatever is done to an order.
#![allow(clippy::unwrap_used)]

use money::Currency;
use proptest::prelude::*;

use super::{
    super::ids::ProductId,
    super::values::{Name, Quantity},
    *,
};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
const PENDING_TIMEOUT: Duration = Duration::from_mins(15);

/// All that can be done to an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verb {
    Authorized,
    Declined,
    Abandon,
    Voided,
    Cancel,
    Fulfil,
    Captured,
    Uncapturable,
    Refunded,
}

const VERBS: [Verb; 9] = [
    Verb::Authorized,
    Verb::Declined,
    Verb::Abandon,
    Verb::Voided,
    Verb::Cancel,
    Verb::Fulfil,
    Verb::Captured,
    Verb::Uncapturable,
    Verb::Refunded,
];

fn placed() -> Order {
    let total = Money::new(250, Currency::parse("EUR").unwrap());
    let draft = Draft {
        id: OrderId(Uuid::from_u128(1)),
        user: UserId(Uuid::from_u128(2)),
        items: vec![Item {
            product: ProductId(Uuid::from_u128(3)),
            name: Name::parse("Thing").unwrap(),
            quantity: Quantity::parse(1).unwrap(),
            unit_price: total,
        }],
        total,
        token: PaymentToken::parse("tok_ok").unwrap(),
        digest: [0; 32],
        origin: Origin::default(),
    };
    Order::place(draft, SWEEP_DELAY, NOW).0
}

fn in_status(status: Status) -> Order {
    let mut state = placed().0;
    state.status = status;
    Order(state)
}

fn payment(status: PaymentStatus) -> Payment {
    Payment { id: Uuid::from_u128(9), status }
}

fn apply(order: &mut Order, verb: Verb) -> Result<CommandOutcome, InvalidTransition> {
    let transition = match verb {
        Verb::Authorized => order.authorized(payment(PaymentStatus::Authorized), NOW),
        Verb::Declined => order.declined(Some(payment(PaymentStatus::Declined)), Reason::InsufficientFunds, NOW),
        Verb::Abandon => order.abandon(NOW),
        Verb::Voided => order.voided(Some(payment(PaymentStatus::Voided)), NOW),
        Verb::Cancel => return order.cancel(Reason::CancelledByCustomer, NOW),
        Verb::Fulfil => return order.fulfil(NOW),
        Verb::Captured => order.captured(payment(PaymentStatus::Captured), NOW),
        Verb::Uncapturable => order.uncapturable(NOW),
        Verb::Refunded => order.refunded(payment(PaymentStatus::Refunded), NOW),
    };
    transition.map(CommandOutcome::Accepted)
}

/// Every transition; what is not here is refused or changes nothing.
const TABLE: [(Status, Verb, Status); 21] = [
    (Status::Pending, Verb::Authorized, Status::Confirmed),
    (Status::Pending, Verb::Declined, Status::Rejected),
    (Status::Pending, Verb::Abandon, Status::Abandoning),
    (Status::Pending, Verb::Cancel, Status::Cancelling),
    (Status::Abandoning, Verb::Voided, Status::Rejected),
    (Status::Abandoning, Verb::Cancel, Status::Cancelling),
    (Status::Abandoning, Verb::Captured, Status::Refunding),
    (Status::Confirmed, Verb::Cancel, Status::Cancelling),
    (Status::Confirmed, Verb::Fulfil, Status::Fulfilling),
    (Status::Fulfilling, Verb::Captured, Status::Fulfilled),
    (Status::Fulfilling, Verb::Cancel, Status::Refunding),
    (Status::Fulfilling, Verb::Uncapturable, Status::Cancelling),
    (Status::Fulfilled, Verb::Cancel, Status::Refunding),
    (Status::Cancelling, Verb::Voided, Status::Cancelled),
    (Status::Cancelling, Verb::Captured, Status::Refunding),
    (Status::Refunding, Verb::Captured, Status::Refunding),
    (Status::Refunding, Verb::Uncapturable, Status::Cancelling),
    (Status::Refunding, Verb::Refunded, Status::Refunded),
    // Repeated: nothing happens.
    (Status::Cancelling, Verb::Cancel, Status::Cancelling),
    (Status::Fulfilled, Verb::Fulfil, Status::Fulfilled),
    (Status::Refunded, Verb::Cancel, Status::Refunded),
];

#[test]
fn the_table_is_all_there_is() {
    for from in Status::ALL {
        for verb in VERBS {
            let mut order = in_status(from);
            let version = order.version;
            let outcome = apply(&mut order, verb);
            let row = TABLE.iter().find(|row| row.0 == from && row.1 == verb);
            match outcome {
                Ok(CommandOutcome::Accepted(_)) => {
                    assert_eq!(Some(order.status), row.map(|row| row.2), "{from:?} {verb:?}");
                    assert_eq!(order.version, version + 1);
                }
                Ok(CommandOutcome::InProgress | CommandOutcome::Done) => {
                    assert!(matches!(verb, Verb::Cancel | Verb::Fulfil));
                    assert!(row.is_none_or(|row| row.2 == from), "{from:?} {verb:?} did nothing");
                    assert_eq!((order.status, order.version), (from, version));
                }
                Err(invalid) => {
                    assert!(row.is_none(), "{from:?} {verb:?} refused");
                    assert_eq!(invalid.from, from);
                    assert_eq!((order.status, order.version), (from, version));
                }
            }
        }
    }
}

#[test]
fn only_a_rejected_order_cannot_be_cancelled() {
    for from in Status::ALL {
        let refused = in_status(from).cancel(Reason::CancelledByOperator, NOW).is_err();
        assert_eq!(refused, from == Status::Rejected, "{from:?}");
    }
}

#[test]
fn closing_the_account_leaves_what_is_fulfilled() {
    for from in Status::ALL {
        let refused = in_status(from).cancel(Reason::AccountClosed, NOW).is_err();
        let stays = matches!(from, Status::Rejected | Status::Fulfilling | Status::Fulfilled);
        assert_eq!(refused, stays, "{from:?}");
    }
}

#[test]
fn each_state_has_its_step() {
    let step = |status| in_status(status).next_step(PENDING_TIMEOUT, NOW);
    assert_eq!(step(Status::Pending), Some(Step::Authorize));
    assert_eq!(step(Status::Abandoning), Some(Step::Void));
    assert_eq!(step(Status::Cancelling), Some(Step::Void));
    assert_eq!(step(Status::Fulfilling), Some(Step::Capture));
    assert_eq!(step(Status::Refunding), Some(Step::Capture));
    for status in Status::ALL {
        assert_eq!(step(status).is_some(), status.is_in_progress(), "{status:?}");
    }
    let mut order = in_status(Status::Refunding);
    let _ = order.captured(payment(PaymentStatus::Captured), NOW).unwrap();
    assert_eq!(order.next_step(PENDING_TIMEOUT, NOW), Some(Step::Refund));
}

#[test]
fn a_pending_order_times_out() {
    let mut order = placed();
    let before = NOW + PENDING_TIMEOUT - Duration::from_micros(1);
    while pauses(order.schedule.unwrap().attempts) < PENDING_TIMEOUT / 2 {
        assert_eq!(order.next_step(PENDING_TIMEOUT, NOW + PENDING_TIMEOUT), Some(Step::Authorize), "too few attempts");
        let _ = order.postpone(NOW);
    }
    assert_eq!(order.next_step(PENDING_TIMEOUT, before), Some(Step::Authorize));
    assert_eq!(order.next_step(PENDING_TIMEOUT, NOW + PENDING_TIMEOUT), Some(Step::Abandon));
    while order.next_step(PENDING_TIMEOUT, NOW) == Some(Step::Authorize) {
        let _ = order.postpone(NOW);
    }
    assert_eq!(order.schedule.unwrap().attempts, 115, "whose pauses are 15 minutes");
}

#[test]
fn an_order_that_is_given_back_says_whether_it_was_confirmed() {
    let mut order = in_status(Status::Abandoning);
    let _ = order.captured(payment(PaymentStatus::Captured), NOW).unwrap();
    assert_eq!((order.was_confirmed, order.reason), (Some(false), Some(Reason::PaymentUnavailable)));
    let mut order = in_status(Status::Confirmed);
    let _ = order.cancel(Reason::CancelledByCustomer, NOW).unwrap();
    let _ = order.captured(payment(PaymentStatus::Captured), NOW).unwrap();
    assert_eq!((order.was_confirmed, order.reason), (Some(true), Some(Reason::CancelledByCustomer)));
}

#[test]
fn an_abandoned_order_is_rejected_for_what_the_void_found() {
    for (found, reason) in [
        (None, Reason::PaymentUnavailable),
        (Some(PaymentStatus::Voided), Reason::PaymentUnavailable),
        (Some(PaymentStatus::Declined), Reason::PaymentDeclined),
    ] {
        let mut order = in_status(Status::Abandoning);
        let transition = order.voided(found.map(payment), NOW).unwrap();
        assert_eq!(order.reason, Some(reason));
        assert!(transition.release_stock);
    }
}

#[test]
fn the_token_goes_when_payment_has_answered() {
    let mut order = placed();
    assert!(order.token.is_some());
    let _ = order.authorized(payment(PaymentStatus::Authorized), NOW).unwrap();
    assert!(order.token.is_none());
}

#[test]
fn postponing_backs_off_up_to_a_limit() {
    let mut order = placed();
    let waits: Vec<i64> = (0..6).map(|_| (order.postpone(NOW).unwrap().due_at - NOW).whole_seconds()).collect();
    assert_eq!(waits, [1, 2, 4, 8, 8, 8]);
    let mut order = in_status(Status::Fulfilling);
    let _ = order.captured(payment(PaymentStatus::Captured), NOW).unwrap();
    assert_eq!(order.postpone(NOW), None);
}

proptest! {
    #[test]
    fn whatever_is_done_to_an_order(verbs in prop::collection::vec(prop::sample::select(&VERBS[..]), 0..40)) {
        let mut order = placed();
        let (mut releases, mut events) = (0, Vec::new());
        for verb in verbs {
            let before = order.clone();
            if let Ok(CommandOutcome::Accepted(transition)) = apply(&mut order, verb) {
                releases += usize::from(transition.release_stock);
                events.extend(transition.event);
                prop_assert_eq!(order.version, before.version + 1);
            } else {
                prop_assert_eq!(&order, &before);
            }
            // Stock comes back once, and just where the order does not hold it.
            prop_assert_eq!(releases, usize::from(!order.status.holds_stock()));
            prop_assert_eq!(order.schedule.is_some(), order.status.is_in_progress());
            prop_assert_eq!(order.token.is_some(), order.status == Status::Pending);
            let paid = order.payment.map(|payment| payment.status);
            match order.status {
                Status::Cancelled | Status::Rejected => prop_assert!(matches!(
                    paid,
                    None | Some(PaymentStatus::Voided | PaymentStatus::Declined)
                )),
                Status::Fulfilled => prop_assert_eq!(paid, Some(PaymentStatus::Captured)),
                Status::Refunded => prop_assert_eq!(paid, Some(PaymentStatus::Refunded)),
                _ => {}
            }
        }
        // No event is emitted twice.
        let emitted = events.len();
        events.sort_by_key(|event| event.kind());
        events.dedup();
        prop_assert_eq!(emitted, events.len());
    }
}
