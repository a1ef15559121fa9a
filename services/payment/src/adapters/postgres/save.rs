//! A write of a payment in one statement, which is one round trip and a transaction of its own.
//!
//! Each part takes its rows from `changed`: where that has none, nothing is stored. A message that was processed before breaks
//! a primary key, which undoes the whole statement.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, Postgres, postgres::PgArguments, query::Query};

use crate::{
    adapters::columns,
    app::ports::{StoreError, WebhookId, Write},
    domain::{ChargeReference, Operation, Payment, PaymentToken},
};

/// Inserts a payment; no row where the order has one already, or is closed.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    with_effects(
        "INSERT INTO payments (order_id, id, user_id, amount, currency, created_at, status, decline_reason, intent, token, \
         reference, version, fence, look_again, traceparent, tracestate, canary, updated_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
         ON CONFLICT DO NOTHING RETURNING order_id, updated_at",
        19,
    )
});

/// Updates a payment; no row where another version is stored, or a higher fencing token has written.
///
/// Both are compared in the statement itself, because a lock can be lost between any check before it and the write.
/// The version refuses whoever has not seen the latest change, also where two processes share no locks.
/// The fence refuses whoever has lost the lock, also where its successor has left the version as it was (`clear_due`);
/// an equal one is the same holder, which writes several times. A closed order stays closed, whatever is expected.
static UPDATE: LazyLock<String> = LazyLock::new(|| {
    with_effects(
        "UPDATE payments SET status = $3, decline_reason = $4, intent = $5, token = $6, reference = $7, version = $8, \
         fence = $9, look_again = $10, attempts = 0, traceparent = $11, tracestate = $12, canary = $13, updated_at = $14 \
         WHERE order_id = $1 AND version = $2 AND fence <= $9 AND status <> 'closed' RETURNING order_id, updated_at",
        15,
    )
});

/// The parameters from `first` on are the entries of ledger transactions, the webhook, the receipt and the events.
///
/// A ledger transaction is inserted after its entries: its row seals them, and a trigger checks their sums. The same operation
/// twice is an error of the primary key and never a second booking.
fn with_effects(change: &str, first: usize) -> String {
    let [operation, account, currency, amount, webhook, received] = std::array::from_fn(|n| first + n);
    let receipt = postgres::received("changed", received + 1);
    let events = postgres::published("changed", received + 3);
    format!(
        "WITH changed AS ({change}), \
         entries AS (INSERT INTO ledger_entries (order_id, operation, account, currency, amount) \
             SELECT changed.order_id, entry.* FROM changed, \
             unnest(${operation}::text[], ${account}::text[], ${currency}::text[], ${amount}::bigint[]) AS entry \
             RETURNING order_id, operation), \
         booked AS (INSERT INTO ledger_transactions (order_id, operation, booked_at) \
             SELECT order_id, operation, changed.updated_at FROM changed JOIN entries USING (order_id) \
             GROUP BY order_id, operation, changed.updated_at), \
         handled AS (INSERT INTO webhooks (id, received_at) \
             SELECT ${webhook}, ${received} FROM changed WHERE ${webhook}::text IS NOT NULL), \
         {receipt}, {events} SELECT order_id FROM changed"
    )
}

/// The statement that does all that is to be written.
pub(super) fn statement<'q>(write: &'q Write<'_>) -> Result<Query<'q, Postgres, PgArguments>, StoreError> {
    let payment = write.payment;
    let query = match write.expected {
        None => sqlx::query(AssertSqlSafe(INSERT.as_str()))
            .bind(payment.order_id.uuid())
            .bind(payment.id.uuid())
            .bind(payment.user_id.uuid())
            .bind(payment.amount.amount)
            .bind(payment.amount.currency.code())
            .bind(payment.created_at),
        Some(version) => {
            sqlx::query(AssertSqlSafe(UPDATE.as_str())).bind(payment.order_id.uuid()).bind(columns::version(version)?)
        }
    };
    let query = bind_changeable(query, write, payment)?;
    let entries = || {
        let transactions = write.transactions.iter();
        transactions.flat_map(|booked| booked.entries.iter().map(|entry| (booked.operation.name(), entry)))
    };
    let (webhook, received) = write.webhook.as_ref().map(|(WebhookId(id), at)| (id.as_str(), *at)).unzip();
    let query = query
        .bind(entries().map(|(operation, _)| operation).collect::<Vec<_>>())
        .bind(entries().map(|(_, entry)| entry.account.name()).collect::<Vec<_>>())
        .bind(entries().map(|(_, entry)| entry.currency.code()).collect::<Vec<_>>())
        .bind(entries().map(|(_, entry)| entry.amount).collect::<Vec<_>>())
        .bind(webhook)
        .bind(received);
    let query = postgres::bind_receipt(query, write.effects.receipt.as_ref());
    Ok(postgres::bind_events(query, &write.effects.events))
}

/// What either statement sets, in this order.
fn bind_changeable<'q>(
    query: Query<'q, Postgres, PgArguments>,
    write: &'q Write<'_>,
    payment: &'q Payment,
) -> Result<Query<'q, Postgres, PgArguments>, StoreError> {
    Ok(query
        .bind(payment.status.name())
        .bind(columns::decline_reason(payment))
        .bind(payment.intent.map(Operation::name))
        .bind(payment.token.as_ref().map(PaymentToken::expose))
        .bind(payment.reference.as_ref().map(ChargeReference::as_str))
        .bind(columns::version(payment.version)?)
        .bind(write.fence)
        .bind(write.due_at)
        .bind(write.carrier.traceparent.as_deref())
        .bind(write.carrier.tracestate.as_deref())
        .bind(write.carrier.canary)
        .bind(payment.updated_at))
}

/// Whether the statement was refused because a message that it answers was processed before.
pub(super) fn is_processed(error: &sqlx::Error) -> bool {
    let webhook =
        |error: &dyn sqlx::error::DatabaseError| error.is_unique_violation() && error.table() == Some("webhooks");
    postgres::is_duplicate(error) || error.as_database_error().is_some_and(webhook)
}
