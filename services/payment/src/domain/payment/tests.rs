//! The state machine: each rule by name, then random walks against the ledger.

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
    Outcome::Approved(Reference::new("ch_1"))
}

fn after(operations: &[Operation]) -> Payment {
    let mut payment = opened();
    for operation in operations {
        if *operation != Operation::Authorize {
            payment.intend(*operation, NOW).unwrap();
        }
        payment.settle(&approved(), NOW).unwrap();
    }
    payment
}

fn declined() -> Payment {
    let mut payment = opened();
    payment.settle(&Outcome::Declined(DeclineReason::InsufficientFunds), NOW).unwrap();
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

type Row = [(Operation, Option<Next>); 4];

#[test]
fn what_each_status_allows() {
    use Operation::{Authorize, Capture, Refund, Void};
    let table: [(Payment, Row); 5] = [
        (
            after(AUTHORIZED),
            [(Authorize, Some(Next::Done)), (Capture, Some(Next::Start)), (Void, Some(Next::Start)), (Refund, None)],
        ),
        (
            after(CAPTURED),
            [(Authorize, Some(Next::Done)), (Capture, Some(Next::Done)), (Void, None), (Refund, Some(Next::Start))],
        ),
        (after(VOIDED), [(Authorize, Some(Next::Done)), (Capture, None), (Void, Some(Next::Done)), (Refund, None)]),
        (
            after(REFUNDED),
            [(Authorize, Some(Next::Done)), (Capture, Some(Next::Done)), (Void, None), (Refund, Some(Next::Done))],
        ),
        (declined(), [(Authorize, Some(Next::Done)), (Capture, None), (Void, Some(Next::Done)), (Refund, None)]),
    ];
    for (payment, row) in table {
        for (operation, expected) in row {
            assert_eq!(payment.next(operation).ok(), expected, "{operation:?} when {:?}", payment.status);
        }
    }
}

#[test]
fn an_open_intent_comes_before_everything() {
    for operation in Operation::ALL {
        assert_eq!(opened().next(operation), Ok(Next::Settle(Operation::Authorize)));
    }
    let mut payment = after(AUTHORIZED);
    payment.intend(Operation::Capture, NOW).unwrap();
    assert_eq!(payment.next(Operation::Void), Ok(Next::Settle(Operation::Capture)));
    assert!(payment.intend(Operation::Void, NOW).is_err());
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
    payment.intend(Operation::Capture, NOW).unwrap();
    assert_eq!(payment.settle(&Outcome::Conflict, NOW), None);
    assert_eq!((payment.status, payment.intent), (Status::Authorized, None));
}

#[test]
fn only_an_unanswered_authorization_can_be_abandoned() {
    let mut payment = opened();
    assert_eq!(payment.abandon(NOW), Some(Fact::Voided { held: false }));
    assert_eq!(payment.status, Status::Voided);
    for mut other in [after(AUTHORIZED), after(CAPTURED), declined()] {
        let before = other.clone();
        assert_eq!(other.abandon(NOW), None);
        assert_eq!(other, before);
    }
}

#[test]
fn it_follows_the_provider_step_by_step_and_never_back() {
    let mut payment = after(AUTHORIZED);
    assert_eq!(payment.follow(ChargeState::Refunded, NOW), Some(Fact::Captured));
    assert_eq!(payment.follow(ChargeState::Refunded, NOW), Some(Fact::Refunded));
    assert_eq!(payment.follow(ChargeState::Refunded, NOW), None);
    let mut captured = after(CAPTURED);
    assert_eq!(captured.follow(ChargeState::Authorized, NOW), None);
    assert_eq!(captured.follow(ChargeState::Voided, NOW), None);
}

#[derive(Debug, Clone)]
enum Move {
    Intend(Operation),
    Settle(Outcome),
    Abandon,
    Follow(ChargeState),
}

fn moves() -> impl Strategy<Value = Move> {
    prop_oneof![
        4 => prop::sample::select(Operation::ALL.to_vec()).prop_map(Move::Intend),
        4 => prop_oneof![
            4 => Just(approved()),
            1 => Just(Outcome::Declined(DeclineReason::Declined)),
            1 => Just(Outcome::Conflict),
        ].prop_map(Move::Settle),
        1 => Just(Move::Abandon),
        1 => prop::sample::select(vec![
            ChargeState::Authorized,
            ChargeState::Captured,
            ChargeState::Voided,
            ChargeState::Refunded,
        ]).prop_map(Move::Follow),
    ]
}

fn book(sums: &mut BTreeMap<Account, i64>, fact: Fact, payment: &Payment) {
    for entry in Transaction::of(fact, payment.amount).into_iter().flat_map(|t| t.entries) {
        *sums.entry(entry.account).or_default() += entry.amount;
    }
}

proptest! {
    #[test]
    fn any_walk_keeps_the_books_in_line_with_the_status(walk in prop::collection::vec(moves(), 0..40)) {
        let mut payment = opened();
        let mut sums = BTreeMap::new();
        for step in walk {
            let before = payment.clone();
            let fact = match &step {
                Move::Intend(operation) => { let _ = payment.intend(*operation, NOW); None }
                Move::Settle(outcome) => payment.settle(outcome, NOW),
                Move::Abandon => payment.abandon(NOW),
                Move::Follow(charge) => payment.follow(*charge, NOW),
            };
            if let Some(fact) = fact {
                book(&mut sums, fact, &payment);
            }
            let changed = payment != before;
            prop_assert_eq!(payment.version, before.version + u64::from(changed));
            prop_assert_eq!(payment.status != before.status, fact.is_some());
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
