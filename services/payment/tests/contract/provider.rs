//! The contract of `Provider`: what every payment provider has to do, with the sandbox's test tokens.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::join_all;
use payment::{
    app::ports::{IdempotencyKey, Instruction, Provider, ProviderError, Target},
    domain::{Charge, ChargeReference, ChargeState, DeclineReason, Operation, OrderId, Outcome, PaymentToken},
};
use testkit::TempDir;

use crate::{euros, new_id};

macro_rules! suite {
    ($run:path, $how:tt) => {
        $run! { $how [crate] provider {
            it_knows_its_tokens,
            nothing_is_found_before_it_is_done,
            a_key_is_carried_out_once,
            concurrent_calls_with_a_key_charge_once,
            declines_have_their_reason,
            unavailable_twice_and_then_works,
            a_lost_answer_is_found_by_key,
            slow_takes_two_seconds,
            a_charge_is_captured_and_refunded,
            a_charge_is_voided,
            what_does_not_fit_is_a_conflict_and_does_nothing,
            a_process_knows_what_another_did,
            the_same_calls_in_two_processes_have_one_effect,
            of_two_changes_at_once_one_happens,
            a_revoked_key_does_nothing_any_more,
            what_was_done_cannot_be_revoked,
            a_call_arrives_or_is_revoked,
            charges_are_listed_page_by_page,
            an_orphan_is_released_whatever_its_order_had_done,
        } }
    };
}
pub(crate) use suite;

pub(crate) struct Fixture {
    pub(crate) provider: Arc<dyn Provider>,
    /// The same one, as another process has it.
    pub(crate) another: Arc<dyn Provider>,
    pub(crate) _folder: Option<TempDir>,
}

pub(crate) fn authorization(order_id: OrderId, token: &str) -> Instruction {
    Instruction {
        key: IdempotencyKey { order_id, operation: Operation::Authorize },
        amount: euros(700),
        target: Target::Token(PaymentToken::parse(token).unwrap()),
    }
}

fn change(order_id: OrderId, operation: Operation, charge: &ChargeReference) -> Instruction {
    Instruction {
        key: IdempotencyKey { order_id, operation },
        amount: euros(700),
        target: Target::Charge(charge.clone()),
    }
}

pub(crate) async fn charge(provider: &dyn Provider, order: OrderId) -> ChargeReference {
    match provider.execute(&authorization(order, "tok_ok")).await.unwrap() {
        Outcome::Approved(reference) => reference,
        other => panic!("{other:?}"),
    }
}

async fn only_charge(provider: &dyn Provider, order: OrderId) -> Charge {
    let mut charges = provider.charges(order).await.unwrap();
    assert_eq!(charges.len(), 1);
    charges.remove(0)
}

pub(crate) async fn it_knows_its_tokens(Fixture { provider, .. }: Fixture) {
    for (token, known) in [
        ("tok_ok", true),
        ("tok_declined", true),
        ("tok_insufficient_funds", true),
        ("tok_unavailable", true),
        ("tok_unknown", true),
        ("tok_slow", true),
        ("tok_", false),
        ("TOK_OK", false),
    ] {
        let token = PaymentToken::parse(token).unwrap();
        assert_eq!(provider.knows_token(&token).await.unwrap(), known, "{}", token.expose());
    }
}

pub(crate) async fn nothing_is_found_before_it_is_done(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    for operation in Operation::ALL {
        assert_eq!(provider.find_outcome(IdempotencyKey { order_id: order, operation }).await.unwrap(), None);
    }
    assert!(provider.charges(order).await.unwrap().is_empty());
}

pub(crate) async fn a_key_is_carried_out_once(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let first = provider.execute(&authorization(order, "tok_ok")).await.unwrap();
    let again = provider.execute(&authorization(order, "tok_ok")).await.unwrap();
    assert_eq!(first, again);
    let key = authorization(order, "tok_ok").key;
    assert_eq!(provider.find_outcome(key).await.unwrap(), Some(first));
    assert_eq!(only_charge(&*provider, order).await.amount, Some(euros(700)));
    assert_eq!(provider.charged_twice().await.unwrap(), 0);
}

pub(crate) async fn concurrent_calls_with_a_key_charge_once(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let instruction = authorization(order, "tok_ok");
    let answers = join_all((0..8).map(|_| provider.execute(&instruction))).await;
    let first = answers[0].as_ref().unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().unwrap() == first));
    only_charge(&*provider, order).await;
}

pub(crate) async fn declines_have_their_reason(Fixture { provider, .. }: Fixture) {
    for (token, reason) in
        [("tok_declined", DeclineReason::Declined), ("tok_insufficient_funds", DeclineReason::InsufficientFunds)]
    {
        let order = new_id();
        let instruction = authorization(order, token);
        let declined = Outcome::Declined(reason);
        assert_eq!(provider.execute(&instruction).await.unwrap(), declined);
        assert_eq!(provider.find_outcome(instruction.key).await.unwrap(), Some(declined));
        assert!(provider.charges(order).await.unwrap().is_empty());
    }
}

pub(crate) async fn unavailable_twice_and_then_works(Fixture { provider, .. }: Fixture) {
    for order in [new_id(), new_id()] {
        let instruction = authorization(order, "tok_unavailable");
        for _ in 0..2 {
            let result = provider.execute(&instruction).await;
            assert!(matches!(result, Err(ProviderError::Unavailable(_))), "{result:?}");
            assert_eq!(provider.find_outcome(instruction.key).await.unwrap(), None);
        }
        assert!(matches!(provider.execute(&instruction).await, Ok(Outcome::Approved(_))));
        only_charge(&*provider, order).await;
    }
}

pub(crate) async fn a_lost_answer_is_found_by_key(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let instruction = authorization(order, "tok_unknown");
    let lost = provider.execute(&instruction).await;
    assert!(matches!(lost, Err(ProviderError::OutcomeUnknown(_))), "{lost:?}");
    let found = provider.find_outcome(instruction.key).await.unwrap();
    assert!(matches!(found, Some(Outcome::Approved(_))), "{found:?}");
    assert_eq!(provider.execute(&instruction).await.ok(), found);
    only_charge(&*provider, order).await;
}

pub(crate) async fn slow_takes_two_seconds(Fixture { provider, .. }: Fixture) {
    let started = Instant::now();
    let answer = provider.execute(&authorization(new_id(), "tok_slow")).await;
    assert!(matches!(answer, Ok(Outcome::Approved(_))));
    let took = started.elapsed();
    assert!((Duration::from_secs(2)..Duration::from_secs(4)).contains(&took), "{took:?}");
}

pub(crate) async fn a_charge_is_captured_and_refunded(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let charge = charge(&*provider, order).await;
    for (operation, state) in [(Operation::Capture, ChargeState::Captured), (Operation::Refund, ChargeState::Refunded)]
    {
        for _ in 0..2 {
            let answer = provider.execute(&change(order, operation, &charge)).await.unwrap();
            assert_eq!(answer, Outcome::Approved(charge.clone()));
            assert_eq!(only_charge(&*provider, order).await.state, state);
        }
    }
}

pub(crate) async fn a_charge_is_voided(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let charge = charge(&*provider, order).await;
    let void = change(order, Operation::Void, &charge);
    assert_eq!(provider.execute(&void).await.unwrap(), Outcome::Approved(charge.clone()));
    assert_eq!(only_charge(&*provider, order).await.state, ChargeState::Voided);
}

pub(crate) async fn what_does_not_fit_is_a_conflict_and_does_nothing(Fixture { provider, .. }: Fixture) {
    let order = new_id();
    let charge = charge(&*provider, order).await;
    let refund = change(order, Operation::Refund, &charge);
    assert_eq!(provider.execute(&refund).await.unwrap(), Outcome::Conflict);
    assert_eq!(provider.find_outcome(refund.key).await.unwrap(), None);
    provider.execute(&change(order, Operation::Void, &charge)).await.unwrap();
    let capture = change(order, Operation::Capture, &charge);
    assert_eq!(provider.execute(&capture).await.unwrap(), Outcome::Conflict);
    let foreign = change(new_id(), Operation::Capture, &charge);
    assert_eq!(provider.execute(&foreign).await.unwrap(), Outcome::Conflict);
    assert_eq!(only_charge(&*provider, order).await.state, ChargeState::Voided);
}

pub(crate) async fn a_process_knows_what_another_did(Fixture { provider, another, .. }: Fixture) {
    let order = new_id();
    let charge = charge(&*provider, order).await;
    assert_eq!(another.execute(&authorization(order, "tok_ok")).await.unwrap(), Outcome::Approved(charge.clone()));
    let capture = change(order, Operation::Capture, &charge);
    assert_eq!(another.execute(&capture).await.unwrap(), Outcome::Approved(charge.clone()));
    assert_eq!(provider.find_outcome(capture.key).await.unwrap(), Some(Outcome::Approved(charge)));
    assert_eq!(only_charge(&*provider, order).await.state, ChargeState::Captured);

    let twice = authorization(new_id(), "tok_unavailable");
    assert!(provider.execute(&twice).await.is_err());
    assert!(another.execute(&twice).await.is_err());
    assert!(matches!(provider.execute(&twice).await, Ok(Outcome::Approved(_))), "both calls were counted");
}

/// Calls of one instruction at once, four in each process.
async fn execute_everywhere(fixture: &Fixture, instruction: &Instruction) -> Vec<Result<Outcome, ProviderError>> {
    let processes = [&fixture.provider, &fixture.another];
    join_all((0..8).map(|call| processes[call % 2].execute(instruction))).await
}

pub(crate) async fn the_same_calls_in_two_processes_have_one_effect(fixture: Fixture) {
    for _ in 0..10 {
        let order = new_id();
        let mut charge = None;
        for operation in [Operation::Authorize, Operation::Capture, Operation::Refund] {
            let instruction = match &charge {
                None => authorization(order, "tok_ok"),
                Some(charge) => change(order, operation, charge),
            };
            for answer in execute_everywhere(&fixture, &instruction).await {
                let Ok(Outcome::Approved(reference)) = answer else { panic!("{operation:?}: {answer:?}") };
                assert_eq!(*charge.get_or_insert_with(|| reference.clone()), reference, "{operation:?}");
            }
        }
        assert_eq!(only_charge(&*fixture.provider, order).await.state, ChargeState::Refunded);

        let declined = execute_everywhere(&fixture, &authorization(new_id(), "tok_declined")).await;
        let expected = Outcome::Declined(DeclineReason::Declined);
        assert!(declined.iter().all(|answer| answer.as_ref().is_ok_and(|answer| *answer == expected)), "{declined:?}");
    }
    assert_eq!(fixture.provider.charged_twice().await.unwrap(), 0);
}

pub(crate) async fn of_two_changes_at_once_one_happens(Fixture { provider, another, .. }: Fixture) {
    for _ in 0..20 {
        let order = new_id();
        let charge = charge(&*provider, order).await;
        let (capture, void) = (change(order, Operation::Capture, &charge), change(order, Operation::Void, &charge));
        let (captured, voided) = tokio::join!(provider.execute(&capture), another.execute(&void));
        let state = match (captured.unwrap(), voided.unwrap()) {
            (Outcome::Approved(_), Outcome::Conflict) => ChargeState::Captured,
            (Outcome::Conflict, Outcome::Approved(_)) => ChargeState::Voided,
            both => panic!("{both:?}"),
        };
        assert_eq!(only_charge(&*provider, order).await.state, state);
    }
}

pub(crate) async fn a_revoked_key_does_nothing_any_more(Fixture { provider, another, .. }: Fixture) {
    let order = new_id();
    let key = authorization(order, "tok_ok").key;
    for _ in 0..2 {
        assert_eq!(provider.revoke(key).await.unwrap(), Outcome::Revoked);
    }
    assert_eq!(another.find_outcome(key).await.unwrap(), Some(Outcome::Revoked));
    for token in ["tok_ok", "tok_declined", "tok_unknown"] {
        assert_eq!(another.execute(&authorization(order, token)).await.unwrap(), Outcome::Revoked, "{token}");
    }
    assert!(provider.charges(order).await.unwrap().is_empty());
}

pub(crate) async fn what_was_done_cannot_be_revoked(Fixture { provider, .. }: Fixture) {
    let (order, declined) = (new_id(), new_id());
    let reference = charge(&*provider, order).await;
    let key = authorization(order, "tok_ok").key;
    assert_eq!(provider.revoke(key).await.unwrap(), Outcome::Approved(reference));
    assert_eq!(only_charge(&*provider, order).await.state, ChargeState::Authorized);
    let no = provider.execute(&authorization(declined, "tok_declined")).await.unwrap();
    assert_eq!(provider.revoke(authorization(declined, "tok_ok").key).await.unwrap(), no);
}

pub(crate) async fn a_call_arrives_or_is_revoked(Fixture { provider, another, .. }: Fixture) {
    for _ in 0..16 {
        let order = new_id();
        let call = authorization(order, "tok_ok");
        let (done, revoked) = tokio::join!(provider.execute(&call), another.revoke(call.key));
        assert_eq!(done.unwrap(), revoked.unwrap());
        let found = provider.find_outcome(call.key).await.unwrap().unwrap();
        let charges = provider.charges(order).await.unwrap();
        assert_eq!(charges.len(), usize::from(found != Outcome::Revoked));
    }
}

pub(crate) async fn charges_are_listed_page_by_page(Fixture { provider, another, .. }: Fixture) {
    let mut made = Vec::new();
    for call in 0..5 {
        let order = new_id();
        made.push((order, charge(if call % 2 == 0 { &*provider } else { &*another }, order).await));
    }
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = provider.list(after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.reference.clone());
        listed.extend(page);
    }
    assert!(listed.iter().all(|charge| charge.amount == Some(euros(700)) && charge.state == ChargeState::Authorized));
    let mut listed: Vec<_> = listed.into_iter().map(|charge| (charge.order_id, charge.reference)).collect();
    listed.sort_unstable_by_key(|(order, _)| *order);
    made.sort_unstable_by_key(|(order, _)| *order);
    assert_eq!(listed, made);
}

pub(crate) async fn an_orphan_is_released_whatever_its_order_had_done(Fixture { provider, .. }: Fixture) {
    let (order, other) = (new_id(), new_id());
    let (reference, foreign) = (charge(&*provider, order).await, charge(&*provider, other).await);
    assert_eq!(provider.release(order, &foreign).await.unwrap(), Outcome::Conflict);
    assert_eq!(only_charge(&*provider, other).await.state, ChargeState::Authorized);
    assert_eq!(provider.release(order, &reference).await.unwrap(), Outcome::Approved(reference.clone()));
    assert_eq!(provider.release(order, &reference).await.unwrap(), Outcome::Conflict);
    assert_eq!(only_charge(&*provider, order).await.state, ChargeState::Voided);
    let key = IdempotencyKey { order_id: order, operation: Operation::Void };
    assert_eq!(provider.find_outcome(key).await.unwrap(), None, "the key is left to the payment's own charge");
}
