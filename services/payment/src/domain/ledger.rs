//! Double entry: what each fact about a payment books, in signed amounts that sum to zero.

use money::{Currency, Money};

use super::payment::{Fact, Operation};

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
    /// Where it is booked.
    pub account: Account,
    /// Minor units; debit positive, credit negative.
    pub amount: i64,
    /// Currency of the amount.
    pub currency: Currency,
}

/// Entries that belong together and sum to zero.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// The operation that is booked; each at most once per order.
    pub operation: Operation,
    /// At most one entry per account and currency.
    pub entries: Vec<Entry>,
}

impl Transaction {
    /// Books a fact; `None` where no money moves or is held.
    pub fn of(fact: Fact, amount: Money) -> Option<Self> {
        use Account::{Authorizations, Cash, Holds, Refunds, Sales};
        let (operation, accounts): (_, &[(Account, i64)]) = match fact {
            Fact::Authorized => (Operation::Authorize, &[(Holds, 1), (Authorizations, -1)]),
            Fact::Captured => (Operation::Capture, &[(Holds, -1), (Authorizations, 1), (Cash, 1), (Sales, -1)]),
            Fact::Voided { held: true } => (Operation::Void, &[(Holds, -1), (Authorizations, 1)]),
            Fact::Refunded => (Operation::Refund, &[(Cash, -1), (Refunds, 1)]),
            Fact::Voided { held: false } | Fact::Declined(_) => return None,
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

    const FACTS: [Fact; 6] = [
        Fact::Authorized,
        Fact::Declined(DeclineReason::Declined),
        Fact::Captured,
        Fact::Voided { held: true },
        Fact::Voided { held: false },
        Fact::Refunded,
    ];

    #[test]
    fn every_transaction_sums_to_zero_and_names_an_account_once() {
        for transaction in FACTS.iter().filter_map(|fact| Transaction::of(*fact, euros(1_299))) {
            let sum: i64 = transaction.entries.iter().map(|entry| entry.amount).sum();
            assert_eq!(sum, 0, "{transaction:?}");
            let mut accounts: Vec<_> = transaction.entries.iter().map(|e| e.account).collect();
            accounts.sort_unstable();
            accounts.dedup();
            assert_eq!(accounts.len(), transaction.entries.len());
        }
    }

    fn balances(facts: &[Fact]) -> BTreeMap<Account, i64> {
        let mut sums = BTreeMap::new();
        for entry in facts
            .iter()
            .filter_map(|fact| Transaction::of(*fact, euros(500)))
            .flat_map(|transaction| transaction.entries)
        {
            *sums.entry(entry.account).or_default() += entry.amount;
        }
        sums.retain(|_, sum| *sum != 0);
        sums
    }

    #[test]
    fn a_void_releases_what_was_held() {
        assert!(balances(&[Fact::Authorized, Fact::Voided { held: true }]).is_empty());
        assert!(balances(&[Fact::Voided { held: false }]).is_empty());
    }

    #[test]
    fn a_capture_turns_the_hold_into_cash_and_a_refund_gives_it_back() {
        let captured = balances(&[Fact::Authorized, Fact::Captured]);
        assert_eq!(captured, BTreeMap::from([(Account::Cash, 500), (Account::Sales, -500)]));
        let refunded = balances(&[Fact::Authorized, Fact::Captured, Fact::Refunded]);
        assert_eq!(refunded, BTreeMap::from([(Account::Sales, -500), (Account::Refunds, 500)]));
    }

    #[test]
    fn a_decline_books_nothing() {
        assert!(balances(&[Fact::Declined(DeclineReason::InsufficientFunds)]).is_empty());
    }
}
