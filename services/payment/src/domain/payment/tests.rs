//! The state machine: each rule by name, then random sequences of actions against the ledger.

use std::collections::BTreeMap;

use money::Currency;
use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::domain::ledger::{Account, Transaction};

const AMOUNT: i64 = 1_299;
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn opened() -> Payment {
    Payment::open(
        (Uuid::now_v7().into(), Uuid::now_v7().into(), Uuid::now_v7().into()),
        Money::new(AMOUNT, Currency::parse("EUR").unwrap()),
        PaymentToken::parse("tok_ok").unwrap(),
        NOW,
    )
}

fn approved() -> Outcome {
    Outcome::Approved(ChargeReference::new("ch_1"))
}

fn after(operations: &[Operation]) -> Payment {
    let mut payment = opened();
    for operation in operations {
        if *operation != Operation::Authorize {
            payment.set_intent(*operation, NOW).unwrap();
        }
        payment.resolve_intent(&approved(), NOW).unwrap();
    }
    payment
}

fn declined() -> Payment {
    let mut payment = opened();
    payment.resolve_intent(&Outcome::Declined(DeclineReason::InsufficientFunds), NOW).unwrap();
    payment
}

const AUTHORIZED: &[Operation] = &[Operation::Authorize];
const CAPTURED: &[Operation] = &[Operation::Authorize, Operation::Capture];
const VOIDED: &[Operation] = &[Operation::Authorize, Operation::Void];
const REFUNDED: &[Operation] = &[Operation::Authorize, Operation::Capture, Operation::Refund];

#[test]
fn the_way_to_each_status() {
    assert_eq!(opened().status, Status::Pending);
    assert_eq!(after(AUTHORIZED).status, Status::Authorized);
    assert_eq!(after(CAPTURED).status, Status::Captured);
    assert_eq!(after(VOIDED).status, Status::Voided);
    assert_eq!(after(REFUNDED).status, Status::Refunded);
    assert_eq!(declined().status, Status::Declined(DeclineReason::InsufficientFunds));
}

type Row = [(Operation, Option<NextStep>); 4];

#[test]
fn what_each_status_allows() {
    use Operation::{Authorize, Capture, Refund, Void};
    let table: [(Payment, Row); 5] = [
        (
            after(AUTHORIZED),
            [
                (Authorize, Some(NextStep::Done)),
                (Capture, Some(NextStep::Start)),
                (Void, Some(NextStep::Start)),
                (Refund, None),
            ],
        ),
        (
            after(CAPTURED),
            [
                (Authorize, Some(NextStep::Done)),
                (Capture, Some(NextStep::Done)),
                (Void, None),
                (Refund, Some(NextStep::Start)),
            ],
        ),
        (
            after(VOIDED),
            [(Authorize, Some(NextStep::Done)), (Capture, None), (Void, Some(NextStep::Done)), (Refund, None)],
        ),
        (
            after(REFUNDED),
            [
                (Authorize, Some(NextStep::Done)),
                (Capture, Some(NextStep::Done)),
                (Void, None),
                (Refund, Some(NextStep::Done)),
            ],
        ),
        (
            declined(),
            [(Authorize, Some(NextStep::Done)), (Capture, None), (Void, Some(NextStep::Done)), (Refund, None)],
        ),
    ];
    for (payment, row) in table {
        for (operation, expected) in row {
            assert_eq!(payment.next_step(operation).ok(), expected, "{operation:?} when {:?}", payment.status);
        }
    }
}

#[test]
fn an_open_intent_comes_before_everything() {
    for operation in Operation::ALL {
        assert_eq!(opened().next_step(operation), Ok(NextStep::ResolveIntent(Operation::Authorize)));
    }
    let mut payment = after(AUTHORIZED);
    payment.set_intent(Operation::Capture, NOW).unwrap();
    assert_eq!(payment.next_step(Operation::Void), Ok(NextStep::ResolveIntent(Operation::Capture)));
    assert!(payment.set_intent(Operation::Void, NOW).is_err());
}

#[test]
fn the_token_is_forgotten_once_the_provider_has_answered() {
    assert!(opened().token.is_some());
    assert!(after(AUTHORIZED).token.is_none());
    assert!(declined().token.is_none());
}

#[test]
fn a_conflict_ends_the_intent_and_changes_nothing_else() {
    let mut payment = after(AUTHORIZED);
    payment.set_intent(Operation::Capture, NOW).unwrap();
    assert_eq!(payment.resolve_intent(&Outcome::Conflict, NOW), None);
    assert_eq!((payment.status, payment.intent), (Status::Authorized, None));
}

#[test]
fn an_authorization_that_was_revoked_holds_nothing() {
    let mut payment = opened();
    assert_eq!(payment.resolve_intent(&Outcome::Revoked, NOW), Some(DomainEvent::Voided { held: false }));
    assert_eq!((payment.status, payment.intent), (Status::Voided, None));
}

#[test]
fn it_follows_the_provider_step_by_step_and_never_back() {
    let mut payment = after(AUTHORIZED);
    assert_eq!(payment.follow_charge(ChargeState::Refunded, NOW), Some(DomainEvent::Captured));
    assert_eq!(payment.follow_charge(ChargeState::Refunded, NOW), Some(DomainEvent::Refunded));
    assert_eq!(payment.follow_charge(ChargeState::Refunded, NOW), None);
    let mut captured = after(CAPTURED);
    assert_eq!(captured.follow_charge(ChargeState::Authorized, NOW), None);
    assert_eq!(captured.follow_charge(ChargeState::Voided, NOW), None);
}

#[derive(Debug, Clone)]
enum Action {
    SetIntent(Operation),
    ResolveIntent(Outcome),
    FollowCharge(ChargeState),
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => prop::sample::select(Operation::ALL.to_vec()).prop_map(Action::SetIntent),
        4 => prop_oneof![
            4 => Just(approved()),
            1 => Just(Outcome::Declined(DeclineReason::Declined)),
            1 => Just(Outcome::Conflict),
            1 => Just(Outcome::Revoked),
        ].prop_map(Action::ResolveIntent),
        1 => prop::sample::select(vec![
            ChargeState::Authorized,
            ChargeState::Captured,
            ChargeState::Voided,
            ChargeState::Refunded,
        ]).prop_map(Action::FollowCharge),
    ]
}

fn book(sums: &mut BTreeMap<Account, i64>, event: DomainEvent, payment: &Payment) {
    for entry in Transaction::of(event, payment.amount).into_iter().flat_map(|transaction| transaction.entries) {
        *sums.entry(entry.account).or_default() += entry.amount;
    }
}

proptest! {
    #[test]
    fn any_sequence_keeps_the_ledger_in_line_with_the_status(sequence in prop::collection::vec(actions(), 0..40)) {
        let mut payment = opened();
        let mut sums = BTreeMap::new();
        for action in sequence {
            let before = payment.clone();
            let event = match &action {
                Action::SetIntent(operation) => { let _ = payment.set_intent(*operation, NOW); None }
                Action::ResolveIntent(outcome) => payment.resolve_intent(outcome, NOW),
                Action::FollowCharge(charge) => payment.follow_charge(*charge, NOW),
            };
            if let Some(event) = event {
                book(&mut sums, event, &payment);
            }
            let changed = Payment { version: before.version, ..payment.clone() } != before;
            prop_assert_eq!(payment.version, before.version + u64::from(changed));
            prop_assert_eq!(payment.status != before.status, event.is_some());
            if matches!(before.status, Status::Declined(_) | Status::Voided | Status::Refunded) {
                prop_assert_eq!(&payment, &before);
            }
            let sum = |account| sums.get(&account).copied().unwrap_or(0);
            prop_assert_eq!(sums.values().sum::<i64>(), 0);
            let held = if payment.status == Status::Authorized { AMOUNT } else { 0 };
            prop_assert_eq!(sum(Account::Holds), held);
            let cash = if payment.status == Status::Captured { AMOUNT } else { 0 };
            prop_assert_eq!(sum(Account::Cash), cash);
            let refunded = if payment.status == Status::Refunded { AMOUNT } else { 0 };
            prop_assert_eq!(sum(Account::Refunds), refunded);
        }
    }
}
