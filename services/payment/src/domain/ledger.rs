//! Double-entry ledger: what each event of a payment books, in signed amounts that sum to zero.

use money::{Currency, Money};

use super::{event::DomainEvent, payment::Operation};

/// An account of the ledger; a positive amount is a debit, a negative one a credit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Account {
    /// Money that authorizations hold on customers' cards.
    Holds,
    /// The customers' side of the holds.
    Authorizations,
    /// Money at the provider that is ours.
    Cash,
    /// What was earned by captures.
    Sales,
    /// What was given back.
    Refunds,
}

impl Account {
    /// Every account.
    pub const ALL: [Self; 5] = [Self::Holds, Self::Authorizations, Self::Cash, Self::Sales, Self::Refunds];

    /// Stable name, as stored.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Authorizations => "authorizations",
            Self::Cash => "cash",
            Self::Sales => "sales",
            Self::Refunds => "refunds",
        }
    }
}

/// One signed amount on one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The account that it is booked on.
    pub account: Account,
    /// Minor units; debit positive, credit negative.
    pub amount: i64,
    /// Currency of the amount.
    pub currency: Currency,
}

/// Entries that belong together and sum to zero in each currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The operation that is booked; each at most once per order.
    pub operation: Operation,
    /// At most one entry per account and currency.
    pub entries: Vec<Entry>,
}

impl Transaction {
    /// The transaction that books an event; `None` where no money moves and none was held.
    ///
    /// A capture reverses the hold and books the sale in the same transaction, so that the money is never counted
    /// twice. A refund is booked on an account of its own and not against sales: what was ever captured stays readable.
    pub fn of(event: DomainEvent, amount: Money) -> Option<Self> {
        use Account::{Authorizations, Cash, Holds, Refunds, Sales};
        let (operation, accounts): (_, &[(Account, i64)]) = match event {
            DomainEvent::Authorized => (Operation::Authorize, &[(Holds, 1), (Authorizations, -1)]),
            DomainEvent::Captured => (Operation::Capture, &[(Holds, -1), (Authorizations, 1), (Cash, 1), (Sales, -1)]),
            DomainEvent::Voided { held: true } => (Operation::Void, &[(Holds, -1), (Authorizations, 1)]),
            DomainEvent::Refunded => (Operation::Refund, &[(Cash, -1), (Refunds, 1)]),
            DomainEvent::Voided { held: false } | DomainEvent::Declined(_) => return None,
        };
        let entries = accounts
            .iter()
            .map(|&(account, sign)| Entry { account, amount: sign * amount.amount, currency: amount.currency })
            .collect();
        Some(Self { operation, entries })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::DeclineReason;

    fn euros(amount: i64) -> Money {
        Money::new(amount, Currency::parse("EUR").unwrap())
    }

    const EVENTS: [DomainEvent; 6] = [
        DomainEvent::Authorized,
        DomainEvent::Declined(DeclineReason::Declined),
        DomainEvent::Captured,
        DomainEvent::Voided { held: true },
        DomainEvent::Voided { held: false },
        DomainEvent::Refunded,
    ];

    #[test]
    fn every_transaction_sums_to_zero_and_names_an_account_once() {
        let transactions: Vec<_> = EVENTS.iter().filter_map(|event| Transaction::of(*event, euros(1_299))).collect();
        assert_eq!(transactions.len(), Operation::ALL.len(), "each operation is booked");
        for transaction in transactions {
            assert!(transaction.entries.len() >= 2, "{transaction:?}");
            let sum: i64 = transaction.entries.iter().map(|entry| entry.amount).sum();
            assert_eq!(sum, 0, "{transaction:?}");
            let mut accounts: Vec<_> = transaction.entries.iter().map(|entry| entry.account).collect();
            accounts.sort_unstable();
            accounts.dedup();
            assert_eq!(accounts.len(), transaction.entries.len());
        }
    }

    fn balances(events: &[DomainEvent]) -> BTreeMap<Account, i64> {
        let mut sums = BTreeMap::new();
        for entry in events
            .iter()
            .filter_map(|event| Transaction::of(*event, euros(500)))
            .flat_map(|transaction| transaction.entries)
        {
            *sums.entry(entry.account).or_default() += entry.amount;
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    #[test]
    fn a_void_releases_what_was_held() {
        let held = BTreeMap::from([(Account::Holds, 500), (Account::Authorizations, -500)]);
        assert_eq!(balances(&[DomainEvent::Authorized]), held);
        assert!(balances(&[DomainEvent::Authorized, DomainEvent::Voided { held: true }]).is_empty());
        assert!(balances(&[DomainEvent::Voided { held: false }]).is_empty());
    }

    #[test]
    fn a_capture_turns_the_hold_into_cash_and_a_refund_gives_it_back() {
        let captured = balances(&[DomainEvent::Authorized, DomainEvent::Captured]);
        assert_eq!(captured, BTreeMap::from([(Account::Cash, 500), (Account::Sales, -500)]));
        let refunded = balances(&[DomainEvent::Authorized, DomainEvent::Captured, DomainEvent::Refunded]);
        assert_eq!(refunded, BTreeMap::from([(Account::Sales, -500), (Account::Refunds, 500)]));
    }

    #[test]
    fn a_decline_books_nothing() {
        assert!(balances(&[DomainEvent::Declined(DeclineReason::InsufficientFunds)]).is_empty());
    }
}
