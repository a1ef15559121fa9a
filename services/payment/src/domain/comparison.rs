//! Compares a payment with its ledger and with the charges that the provider has for its order.

use super::{
    event::DomainEvent,
    ids::ChargeReference,
    ledger::{Entry, Transaction},
    payment::{Charge, ChargeState, Operation, Payment, Status},
};

/// One thing in which payment, ledger and provider do not agree.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Discrepancy {
    /// An operation has an intent and no outcome: nothing else can be said of the provider before it has one.
    #[error("the outcome of {} is not known", .0.name())]
    Open(Operation),
    /// The status says that it was done.
    #[error("{} is not in the ledger", .0.name())]
    NotBooked(Operation),
    /// The status says that it was not done.
    #[error("{} is in the ledger, and was not done", .0.name())]
    Booked(Operation),
    /// The entries are not those of the payment's amount.
    #[error("{} is in the ledger with another amount", .0.name())]
    BookedOtherwise(Operation),
    /// The provider does not have the payment's charge.
    #[error("the provider has no charge {}", .0.as_str())]
    NoCharge(ChargeReference),
    /// The payment's charge is in another state than the payment.
    #[error("charge {} is {} at the provider", .0.as_str(), .1.name())]
    State(ChargeReference, ChargeState),
    /// The payment's charge has another amount.
    #[error("charge {} has another amount at the provider", .0.as_str())]
    Amount(ChargeReference),
    /// A charge that is not the payment's holds money or has taken it.
    #[error("charge {}, which is {}, belongs to no payment", .0.as_str(), .1.name())]
    Orphan(ChargeReference, ChargeState),
}

/// Everything in which they do not agree. An order that is closed or not known has no payment, and should have neither
/// ledger nor charges.
pub fn compare(payment: Option<&Payment>, ledger: &[Transaction], charges: &[Charge]) -> Vec<Discrepancy> {
    let mut found = compare_ledger(payment, ledger);
    if let Some(open) = payment.and_then(|payment| payment.intent) {
        found.push(Discrepancy::Open(open));
        return found;
    }
    let own = payment.and_then(|payment| Some((payment, payment.reference.as_ref()?)));
    if let Some((payment, reference)) = own {
        found.extend(compare_charge(payment, reference, charges));
    }
    let orphans =
        charges.iter().filter(|charge| charge.state.is_live() && own.is_none_or(|own| *own.1 != charge.reference));
    found.extend(orphans.map(|charge| Discrepancy::Orphan(charge.reference.clone(), charge.state)));
    found
}

fn compare_ledger(payment: Option<&Payment>, ledger: &[Transaction]) -> Vec<Discrepancy> {
    let of = |operation| ledger.iter().find(|transaction| transaction.operation == operation);
    let held = of(Operation::Authorize).is_some();
    let done = payment.map_or(&[][..], |payment| booked(payment.status, held));
    let mut found = Vec::new();
    for operation in Operation::ALL {
        match (done.contains(&operation), of(operation), payment) {
            (true, None, _) => found.push(Discrepancy::NotBooked(operation)),
            (false, Some(_), _) => found.push(Discrepancy::Booked(operation)),
            (true, Some(transaction), Some(payment)) if !is_booking(transaction, payment) => {
                found.push(Discrepancy::BookedOtherwise(operation));
            }
            _ => {}
        }
    }
    found
}

/// The operations in the ledger of a payment with that status; a voided one may have `held` money before, or not.
const fn booked(status: Status, held: bool) -> &'static [Operation] {
    use Operation::{Authorize, Capture, Refund, Void};
    match status {
        Status::Authorized => &[Authorize],
        Status::Captured => &[Authorize, Capture],
        Status::Refunded => &[Authorize, Capture, Refund],
        Status::Voided if held => &[Authorize, Void],
        Status::Pending | Status::Declined(_) | Status::Voided => &[],
    }
}

/// Whether a transaction is what its operation books for the payment's amount.
fn is_booking(transaction: &Transaction, payment: &Payment) -> bool {
    let event = match transaction.operation {
        Operation::Authorize => DomainEvent::Authorized,
        Operation::Capture => DomainEvent::Captured,
        Operation::Void => DomainEvent::Voided { held: true },
        Operation::Refund => DomainEvent::Refunded,
    };
    let sorted = |transaction: &Transaction| {
        let mut entries: Vec<Entry> = transaction.entries.clone();
        entries.sort_unstable_by_key(|entry| entry.account);
        entries
    };
    Transaction::of(event, payment.amount).is_some_and(|expected| sorted(&expected) == sorted(transaction))
}

fn compare_charge(payment: &Payment, reference: &ChargeReference, charges: &[Charge]) -> Option<Discrepancy> {
    let Some(charge) = charges.iter().find(|charge| charge.reference == *reference) else {
        return Some(Discrepancy::NoCharge(reference.clone()));
    };
    let agrees = match payment.status {
        Status::Authorized => charge.state == ChargeState::Authorized,
        Status::Captured => charge.state == ChargeState::Captured,
        Status::Refunded => charge.state == ChargeState::Refunded,
        Status::Pending | Status::Declined(_) | Status::Voided => !charge.state.is_live(),
    };
    if !agrees {
        return Some(Discrepancy::State(reference.clone(), charge.state));
    }
    (charge.amount != Some(payment.amount)).then(|| Discrepancy::Amount(reference.clone()))
}

#[cfg(test)]
mod tests {
    use money::{Currency, Money};
    use time::OffsetDateTime;
    use uuid::Uuid;

    use super::*;
    use crate::domain::{DeclineReason, PaymentToken};

    fn euros(amount: i64) -> Money {
        Money::new(amount, Currency::parse("EUR").unwrap())
    }

    fn charge(reference: &str, state: ChargeState) -> Charge {
        let (reference, order_id) = (ChargeReference::new(reference), Uuid::max().into());
        Charge { reference, order_id, amount: Some(euros(500)), state }
    }

    /// A payment of 500 with a status, and what its ledger and the provider have when all is well.
    fn good(status: Status) -> (Payment, Vec<Transaction>, Vec<Charge>) {
        let ids = (Uuid::max().into(), Uuid::max().into(), Uuid::max().into());
        let token = PaymentToken::parse("tok_ok").unwrap();
        let mut payment = Payment::open(ids, euros(500), token, OffsetDateTime::UNIX_EPOCH);
        payment.intent = None;
        payment.status = status;
        payment.reference = Some(ChargeReference::new("ch_1"));
        let (events, state): (&[_], _) = match status {
            Status::Authorized => (&[DomainEvent::Authorized], ChargeState::Authorized),
            Status::Captured => (&[DomainEvent::Authorized, DomainEvent::Captured], ChargeState::Captured),
            Status::Voided => (&[DomainEvent::Authorized, DomainEvent::Voided { held: true }], ChargeState::Voided),
            Status::Refunded => {
                (&[DomainEvent::Authorized, DomainEvent::Captured, DomainEvent::Refunded], ChargeState::Refunded)
            }
            Status::Pending | Status::Declined(_) => {
                payment.reference = None;
                return (payment, Vec::new(), Vec::new());
            }
        };
        let ledger = events.iter().filter_map(|event| Transaction::of(*event, euros(500))).collect();
        (payment, ledger, vec![charge("ch_1", state)])
    }

    const DECLINED: Status = Status::Declined(DeclineReason::Declined);
    const ALL: [Status; 5] = [Status::Authorized, DECLINED, Status::Captured, Status::Voided, Status::Refunded];

    #[test]
    fn what_agrees_is_found_to_agree() {
        for status in ALL {
            let (payment, ledger, charges) = good(status);
            assert_eq!(compare(Some(&payment), &ledger, &charges), [], "{status:?}");
        }
        assert_eq!(compare(None, &[], &[charge("ch_1", ChargeState::Voided)]), []);
    }

    #[test]
    fn another_status_is_found_whatever_it_is() {
        for status in ALL {
            let (mut payment, ledger, charges) = good(status);
            for other in ALL.into_iter().filter(|other| *other != status) {
                payment.status = other;
                // A payment that was declined may as well have been voided: nobody was ever charged.
                let alike = charges.is_empty() && other == Status::Voided;
                assert_eq!(compare(Some(&payment), &ledger, &charges).is_empty(), alike, "{status:?}, not {other:?}");
            }
        }
    }

    #[test]
    fn another_amount_is_found_on_each_side() {
        let (mut payment, ledger, mut charges) = good(Status::Captured);
        charges[0].amount = Some(euros(5_000));
        assert_eq!(compare(Some(&payment), &ledger, &charges), [Discrepancy::Amount(charges[0].reference.clone())]);
        payment.amount = euros(5_000);
        let booked = [Operation::Authorize, Operation::Capture].map(Discrepancy::BookedOtherwise);
        assert_eq!(compare(Some(&payment), &ledger, &charges), booked);
    }

    #[test]
    fn a_charge_beside_the_payment_is_found_while_it_has_money() {
        for status in ALL {
            let (payment, ledger, mut charges) = good(status);
            for (state, live) in [(ChargeState::Authorized, 1), (ChargeState::Captured, 1), (ChargeState::Voided, 0)] {
                charges.push(charge("ch_2", state));
                assert_eq!(compare(Some(&payment), &ledger, &charges).len(), live, "{status:?}, {state:?}");
                charges.pop();
            }
        }
        let orphan = Discrepancy::Orphan(ChargeReference::new("ch_1"), ChargeState::Captured);
        assert_eq!(compare(None, &[], &[charge("ch_1", ChargeState::Captured)]), [orphan]);
    }

    #[test]
    fn while_an_intent_is_open_nothing_is_said_of_the_provider() {
        let (mut payment, ledger, mut charges) = good(Status::Authorized);
        payment.intent = Some(Operation::Capture);
        charges[0].state = ChargeState::Captured;
        assert_eq!(compare(Some(&payment), &ledger, &charges), [Discrepancy::Open(Operation::Capture)]);
    }
}
