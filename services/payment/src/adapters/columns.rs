//! Stored columns to values and back, the same in every database.

use std::collections::BTreeMap;

use money::{Currency, Money};
use uuid::Uuid;

use crate::{
    app::ports::{Cause, StoreError},
    domain::{
        DeclineReason, Operation, Payment, Status,
        ledger::{Account, Entry, Transaction},
    },
};

/// Reads an amount in a currency.
pub(super) fn parse_money(amount: i64, currency: &str) -> Result<Money, StoreError> {
    Ok(Money::new(amount, Currency::parse(currency).map_err(|_| unreadable("currency"))?))
}

/// A sum over many orders; `None` in a currency that this version does not know. Whose it is the audit names, order by order.
pub(super) fn known(sum: Result<Money, StoreError>) -> Option<Result<Money, StoreError>> {
    match sum {
        Err(StoreError::Failed(error)) => {
            tracing::warn!(%error, "a sum of the ledger is left out");
            None
        }
        sum => Some(sum),
    }
}

/// Reads the reason of a decline.
pub(super) fn parse_decline_reason(name: &str) -> Result<DeclineReason, StoreError> {
    [DeclineReason::Declined, DeclineReason::InsufficientFunds]
        .into_iter()
        .find(|reason| reason.name() == name)
        .ok_or_else(|| unreadable("decline_reason"))
}

/// The reason of a decline, as stored.
pub(super) fn decline_reason(payment: &Payment) -> Option<&'static str> {
    match payment.status {
        Status::Declined(reason) => Some(reason.name()),
        _ => None,
    }
}

/// A version, as stored.
pub(super) fn version(version: u64) -> Result<i64, sqlx::Error> {
    i64::try_from(version).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// Reads a status.
pub(super) fn parse_status(name: &str, decline_reason: Option<&str>) -> Result<Status, StoreError> {
    if let Some(name) = decline_reason {
        return Ok(Status::Declined(parse_decline_reason(name)?));
    }
    [Status::Pending, Status::Authorized, Status::Captured, Status::Voided, Status::Refunded]
        .into_iter()
        .find(|status| status.name() == name)
        .ok_or_else(|| unreadable("status"))
}

/// Reads an operation.
pub(super) fn parse_operation(name: &str) -> Result<Operation, StoreError> {
    Operation::ALL.into_iter().find(|operation| operation.name() == name).ok_or_else(|| unreadable("operation"))
}

/// A stored ledger entry: order, operation, account, currency, amount.
pub(super) type EntryRow = (Uuid, String, String, String, i64);

/// Reads the ledger of one order.
pub(super) fn parse_ledger(entries: &[EntryRow]) -> Result<Vec<Transaction>, StoreError> {
    let mut transactions: BTreeMap<&str, Vec<Entry>> = BTreeMap::new();
    for (_, operation, account, currency, amount) in entries {
        let known = Account::ALL.into_iter().find(|known| known.name() == account);
        let account = known.ok_or_else(|| unreadable("account"))?;
        let Money { amount, currency } = parse_money(*amount, currency)?;
        transactions.entry(operation).or_default().push(Entry { account, amount, currency });
    }
    let transaction = |(operation, entries)| Ok(Transaction { operation: parse_operation(operation)?, entries });
    transactions.into_iter().map(transaction).collect()
}

/// The entries of one order, of those of several that are sorted by it.
pub(super) fn entries_of(order: Uuid, entries: &[EntryRow]) -> &[EntryRow] {
    let from = entries.partition_point(|entry| entry.0 < order);
    let to = entries.partition_point(|entry| entry.0 <= order);
    &entries[from..to]
}

/// A stored value that this version of the service cannot have written.
pub(super) fn unreadable(column: &str) -> StoreError {
    StoreError::Failed(Cause::from(format!("a stored {column} cannot be read")))
}
