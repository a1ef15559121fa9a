//! The query that proves the ledger.

use sqlx::{Row as _, SqlitePool};

use super::rows;
use crate::{
    adapters::words,
    app::ports::{Books, StoreError},
};

/// Sums of the accounts that an audit tells, per currency: debits are positive, so sales are turned round.
const SUMS: &str = "SELECT account, currency, \
     sum(CASE account WHEN 'sales' THEN -amount ELSE amount END) AS amount \
     FROM ledger_entries WHERE account IN ('sales', 'refunds', 'holds') \
     GROUP BY account, currency HAVING sum(amount) <> 0 ORDER BY account, currency";

/// Transactions whose entries do not sum to zero in some currency, and any without entries.
const UNBALANCED: &str = "SELECT count(*) FROM (\
     SELECT order_id, operation FROM ledger_entries GROUP BY order_id, operation, currency HAVING sum(amount) <> 0 \
     UNION SELECT t.order_id, t.operation FROM ledger_transactions t WHERE NOT EXISTS \
     (SELECT 1 FROM ledger_entries e WHERE e.order_id = t.order_id AND e.operation = t.operation))";

const UNRESOLVED: &str = "SELECT count(*) FROM payments WHERE intent IS NOT NULL";

const PAYMENTS: &str = "SELECT count(*) FROM payments WHERE id IS NOT NULL";

pub(super) async fn sum_up(pool: &SqlitePool) -> Result<Books, StoreError> {
    // One read transaction: the figures belong together.
    let mut tx = pool.begin().await?;
    let mut books = Books {
        unbalanced: count(&mut tx, UNBALANCED).await?,
        unresolved: count(&mut tx, UNRESOLVED).await?,
        payments: count(&mut tx, PAYMENTS).await?,
        ..Books::default()
    };
    for row in sqlx::query(SUMS).fetch_all(&mut *tx).await? {
        let sum = rows::money(&row, "amount")?;
        match row.try_get::<&str, _>("account")? {
            "sales" => books.captured.push(sum),
            "refunds" => books.refunded.push(sum),
            _ => books.held.push(sum),
        }
    }
    Ok(books)
}

async fn count(tx: &mut sqlx::SqliteConnection, query: &'static str) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar(query).fetch_one(tx).await?;
    u64::try_from(count).map_err(|_| words::unreadable("count"))
}
