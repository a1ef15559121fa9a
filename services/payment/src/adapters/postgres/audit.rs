//! The queries that add up payments and prove the ledger.

use money::Money;
use sqlx::{Row as _, postgres::PgRow};
use uuid::Uuid;

use super::rows;
use crate::{
    adapters::columns::{self, EntryRow},
    app::ports::{Booked, StoreError, Totals},
    domain::{OrderId, ledger::Transaction},
};

/// Sums of the accounts that an audit reports, per currency. Sales are credits, which are negative: their sign is changed.
const SUMS: &str = "SELECT account, currency, \
     sum(CASE account WHEN 'sales' THEN -amount ELSE amount END)::bigint AS amount \
     FROM ledger_entries WHERE account IN ('sales', 'refunds', 'holds') \
     GROUP BY account, currency HAVING sum(amount) <> 0 ORDER BY account, currency";

/// Transactions whose entries do not sum to zero in some currency, and any without entries.
const UNBALANCED: &str = "SELECT count(*) FROM (\
     SELECT order_id, operation FROM ledger_entries GROUP BY order_id, operation, currency HAVING sum(amount) <> 0 \
     UNION SELECT t.order_id, t.operation FROM ledger_transactions t WHERE NOT EXISTS \
     (SELECT 1 FROM ledger_entries e WHERE e.order_id = t.order_id AND e.operation = t.operation)) AS wrong";

const UNRESOLVED: &str = "SELECT count(*) FROM payments WHERE intent IS NOT NULL";

const PAYMENTS: &str = "SELECT count(*) FROM payments WHERE id IS NOT NULL";

/// Of each of the transactions that were booked last the sum of its entries, added up without signs.
const IMBALANCES: &str = "SELECT currency, sum(abs(difference))::bigint AS amount FROM (\
     SELECT e.currency, sum(e.amount) AS difference FROM ledger_entries e JOIN \
     (SELECT order_id, operation FROM ledger_transactions ORDER BY booked_at DESC LIMIT $1) AS t \
     ON e.order_id = t.order_id AND e.operation = t.operation \
     GROUP BY e.order_id, e.operation, e.currency) AS sums GROUP BY currency";

const PAGE: &str = "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
     version, created_at, updated_at FROM payments WHERE order_id > $1 ORDER BY order_id LIMIT $2";

const ENTRIES: &str = "SELECT order_id, operation, account, currency, amount FROM ledger_entries \
     WHERE order_id BETWEEN $1 AND $2 ORDER BY order_id";

const OF_ORDERS: &str = "SELECT id, order_id, user_id, amount, currency, status, decline_reason, intent, token, reference, \
     version, created_at, updated_at FROM payments WHERE order_id = ANY($1)";

const ENTRIES_OF_ORDERS: &str = "SELECT order_id, operation, account, currency, amount FROM ledger_entries \
     WHERE order_id = ANY($1) ORDER BY order_id";

pub(super) async fn page(pool: &postgres::Pool, after: Option<OrderId>, limit: u32) -> Result<Vec<Booked>, StoreError> {
    // At one moment, or a payment that is stored between the two queries would not be what is booked.
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let after = after.map_or(Uuid::nil(), OrderId::uuid);
    let rows = sqlx::query(PAGE).bind(after).bind(i64::from(limit)).fetch_all(&mut *tx).await?;
    let orders = rows.iter().map(|row| row.try_get("order_id")).collect::<Result<Vec<Uuid>, _>>()?;
    let (Some(first), Some(last)) = (orders.first(), orders.last()) else { return Ok(Vec::new()) };
    let entries: Vec<EntryRow> = sqlx::query_as(ENTRIES).bind(first).bind(last).fetch_all(&mut *tx).await?;
    together(&rows, &entries)
}

pub(super) async fn booked(pool: &postgres::Pool, orders: &[OrderId]) -> Result<Vec<Booked>, StoreError> {
    let orders = orders.iter().map(|order| order.uuid()).collect::<Vec<_>>();
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let rows = sqlx::query(OF_ORDERS).bind(&orders).fetch_all(&mut *tx).await?;
    let entries: Vec<EntryRow> = sqlx::query_as(ENTRIES_OF_ORDERS).bind(&orders).fetch_all(&mut *tx).await?;
    together(&rows, &entries)
}

/// Payments, each with its ledger entries, which are sorted by their orders.
fn together(rows: &[PgRow], entries: &[EntryRow]) -> Result<Vec<Booked>, StoreError> {
    let booked = |row: &PgRow| {
        let order: Uuid = row.try_get("order_id")?;
        let ledger = columns::parse_ledger(columns::entries_of(order, entries));
        let stored = rows::record(row).and_then(|record| Ok((record, ledger?)));
        Ok(Booked { order_id: order.into(), stored })
    };
    rows.iter().map(booked).collect()
}

pub(super) async fn ledger(pool: &postgres::Pool, order: OrderId) -> Result<Vec<Transaction>, StoreError> {
    let order = order.uuid();
    let entries: Vec<EntryRow> = sqlx::query_as(ENTRIES).bind(order).bind(order).fetch_all(pool).await?;
    columns::parse_ledger(&entries)
}

pub(super) async fn imbalances(pool: &postgres::Pool, limit: u32) -> Result<Vec<Money>, StoreError> {
    let rows = sqlx::query(IMBALANCES).bind(i64::from(limit)).fetch_all(pool).await?;
    rows.iter().filter_map(|row| columns::known(rows::money(row, "amount"))).collect()
}

pub(super) async fn totals(pool: &postgres::Pool) -> Result<Totals, StoreError> {
    // One snapshot, or a payment that is stored between two queries would look like an imbalance.
    let mut tx = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let mut totals = Totals {
        unbalanced: count(&mut tx, UNBALANCED).await?,
        unresolved: count(&mut tx, UNRESOLVED).await?,
        payments: count(&mut tx, PAYMENTS).await?,
        ..Totals::default()
    };
    for row in sqlx::query(SUMS).fetch_all(&mut *tx).await? {
        let Some(sum) = columns::known(rows::money(&row, "amount")) else { continue };
        let sum = sum?;
        match row.try_get::<&str, _>("account")? {
            "sales" => totals.captured.push(sum),
            "refunds" => totals.refunded.push(sum),
            _ => totals.held.push(sum),
        }
    }
    Ok(totals)
}

async fn count(tx: &mut postgres::Connection, query: &'static str) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(tx).await?;
    u64::try_from(count).map_err(|_| columns::unreadable("count"))
}
