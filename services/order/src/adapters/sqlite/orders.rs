//! Orders on `SQLite`: the order, its stock and its events in one transaction.

use async_trait::async_trait;
use clock::{from_micros, micros};
use messaging::{Effects, Receipt, Recorded};
use sqlite::record;
use sqlx::{FromRow as _, sqlite::SqliteRow};
use time::OffsetDateTime;

use super::{
    SqliteStore,
    rows::{Columns, OrderRow, blob, count, items_json, key, number, uuid},
};
use crate::{
    app::ports::{After, Orders, Owner, Placed, Row, Sagas, Saved, Shortage, StoreError, Unreadable},
    domain::{
        ids::{OrderId, UserId},
        order::Order,
        status::Status,
    },
};

const INSERT: &str = "INSERT INTO orders (id, user_id, status, items, amount, currency, payment_token, digest,
        traceparent, tracestate, canary, version, due_at, attempts, created_at, updated_at)
    SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16
    WHERE NOT EXISTS (SELECT 1 FROM closing_accounts WHERE user_id = ?2)
    ON CONFLICT (id) DO NOTHING";

const RESERVE: &str = "UPDATE products SET available = available - line.quantity
    FROM (SELECT unhex(value ->> 'p') AS product, value ->> 'q' AS quantity FROM json_each(?1)) AS line
    WHERE products.id = line.product AND available >= line.quantity
    RETURNING products.id";

const RELEASE: &str = "UPDATE products SET available = available + line.quantity
    FROM (SELECT unhex(value ->> 'p') AS product, value ->> 'q' AS quantity FROM json_each(?1)) AS line
    WHERE products.id = line.product";

const AVAILABLE: &str = "SELECT coalesce(available, 0) FROM json_each(?1) AS line
    LEFT JOIN products ON products.id = unhex(line.value ->> 'p') ORDER BY line.key";

const UPDATE: &str = "UPDATE orders SET status = ?3, reason = ?4, payment_id = ?5, payment_status = ?6,
        payment_token = ?7, version = ?8, due_at = ?9, attempts = ?10, updated_at = ?11, was_confirmed = ?12
    WHERE id = ?1 AND version = ?2";

const OF_USER_IN: &str =
    "SELECT id FROM orders WHERE user_id = ?1 AND status IN (SELECT value FROM json_each(?2)) LIMIT ?3";

const COUNT_OF_USER_IN: &str =
    "SELECT count(*) FROM orders WHERE user_id = ?1 AND status IN (SELECT value FROM json_each(?2))";

const SAGAS: &str = "SELECT status, count(*), min(updated_at) FROM
        (SELECT status, updated_at FROM orders WHERE due_at IS NOT NULL ORDER BY due_at LIMIT ?1)
    GROUP BY status";

#[async_trait]
impl Orders for SqliteStore {
    async fn place(&self, order: &Order, effects: Effects) -> Result<Placed, StoreError> {
        let items = items_json(&order.items)?;
        let mut tx = self.database.begin().await?;
        if !insert(&mut tx, order, &items).await? {
            return Ok(match find(&mut tx, order.id).await? {
                Some(order) => Placed::Existing(Box::new(order)),
                None => Placed::AccountClosing,
            });
        }
        // An early return drops the transaction, and what was reserved or inserted with it.
        let short = reserve(&mut tx, order, &items).await?;
        if !short.is_empty() {
            return Ok(Placed::Shortage(short));
        }
        let _ = record(&mut tx, &effects).await?;
        self.commit(tx, &effects).await?;
        Ok(Placed::Stored)
    }

    async fn get(&self, id: OrderId) -> Result<Option<Order>, StoreError> {
        let row: Option<OrderRow> = sqlx::query_as("SELECT * FROM orders WHERE id = ?1")
            .bind(blob(id.0))
            .fetch_optional(&self.database.read)
            .await?;
        row.map(OrderRow::order).transpose()
    }

    async fn get_many(&self, ids: &[OrderId]) -> Result<Vec<Row<Order>>, StoreError> {
        let ids: Vec<String> = ids.iter().map(|id| hex::encode(id.0.as_bytes())).collect();
        let rows = sqlx::query("SELECT * FROM orders WHERE id IN (SELECT unhex(value) FROM json_each(?1))")
            .bind(serde_json::Value::from(ids).to_string())
            .fetch_all(&self.database.read)
            .await?;
        Ok(orders(&rows))
    }

    async fn list(&self, owner: Owner, after: Option<After>, limit: u32) -> Result<Vec<Row<Order>>, StoreError> {
        let (time, id) = after.map_or((i64::MAX, Vec::new()), |after| (micros(after.created_at), blob(after.id.0)));
        let query = match owner {
            Owner::All => sqlx::query(
                "SELECT * FROM orders WHERE (created_at, id) < (?1, ?2) ORDER BY created_at DESC, id DESC LIMIT ?3",
            ),
            Owner::User(_) => sqlx::query(
                "SELECT * FROM orders WHERE user_id = ?4 AND (created_at, id) < (?1, ?2)
                 ORDER BY created_at DESC, id DESC LIMIT ?3",
            ),
        };
        let query = query.bind(time).bind(id).bind(limit);
        let query = match owner {
            Owner::All => query,
            Owner::User(user) => query.bind(blob(user.0)),
        };
        Ok(orders(&query.fetch_all(&self.database.read).await?))
    }

    async fn save(
        &self,
        order: &Order,
        expected: u64,
        release_stock: bool,
        effects: Effects,
    ) -> Result<Saved, StoreError> {
        let mut tx = self.database.begin().await?;
        if !update(&mut tx, order, expected).await? {
            return Ok(Saved::Stale);
        }
        if release_stock {
            sqlx::query(RELEASE).bind(items_json(&order.items)?).execute(&mut *tx).await?;
        }
        // Last, when all else has succeeded; a duplicate drops the transaction and with it the change.
        if record(&mut tx, &effects).await? == Recorded::Duplicate {
            return Ok(Saved::Duplicate);
        }
        self.commit(tx, &effects).await?;
        Ok(Saved::Stored)
    }

    async fn postpone(&self, order: &Order) -> Result<(), StoreError> {
        let columns = Columns::of(order);
        sqlx::query("UPDATE orders SET due_at = ?3, attempts = ?4 WHERE id = ?1 AND version = ?2")
            .bind(blob(order.id.0))
            .bind(columns.version)
            .bind(columns.due_at)
            .bind(columns.attempts)
            .execute(&self.database.write)
            .await?;
        Ok(())
    }

    async fn set_aside(&self, id: OrderId, now: OffsetDateTime, until: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query("UPDATE orders SET due_at = ?3 WHERE id = ?1 AND (due_at <= ?2 OR due_at > ?4)")
            .bind(blob(id.0))
            .bind(micros(now))
            .bind(micros(until))
            .bind(micros(now + clock::HORIZON))
            .execute(&self.database.write)
            .await?;
        Ok(())
    }

    async fn due(&self, now: OffsetDateTime, limit: u32) -> Result<Vec<Row<Order>>, StoreError> {
        let rows = sqlx::query("SELECT * FROM orders WHERE due_at <= ?1 OR due_at > ?3 ORDER BY due_at LIMIT ?2")
            .bind(micros(now))
            .bind(limit)
            .bind(micros(now + clock::HORIZON))
            .fetch_all(&self.database.read)
            .await?;
        Ok(orders(&rows))
    }

    async fn sagas(&self, limit: u32) -> Result<Sagas, StoreError> {
        let rows: Vec<(String, i64, i64)> = sqlx::query_as(SAGAS).bind(limit).fetch_all(&self.database.read).await?;
        Ok(Sagas {
            // What cannot be read is set aside by the sweeper.
            by_status: rows.iter().filter_map(|(name, n, _)| Some((Status::named(name)?, count(*n)))).collect(),
            oldest: rows.iter().map(|(_, _, oldest)| from_micros(*oldest)).min(),
        })
    }

    async fn of_user_in(&self, user: UserId, statuses: &[Status], limit: u32) -> Result<Vec<OrderId>, StoreError> {
        let ids: Vec<Vec<u8>> = sqlx::query_scalar(OF_USER_IN)
            .bind(blob(user.0))
            .bind(names(statuses))
            .bind(limit)
            .fetch_all(&self.database.read)
            .await?;
        ids.iter().map(|id| uuid(id, "order id").map(OrderId)).collect()
    }

    async fn count_of_user_in(&self, user: UserId, statuses: &[Status]) -> Result<u64, StoreError> {
        let n: i64 = sqlx::query_scalar(COUNT_OF_USER_IN)
            .bind(blob(user.0))
            .bind(names(statuses))
            .fetch_one(&self.database.read)
            .await?;
        Ok(count(n))
    }

    async fn record_receipt(&self, receipt: Receipt) -> Result<(), StoreError> {
        let effects = Effects { events: Vec::new(), receipt: Some(receipt) };
        let mut tx = self.database.begin().await?;
        if record(&mut tx, &effects).await? == Recorded::First {
            tx.commit().await?;
        }
        Ok(())
    }
}

/// Reserves the lines, and returns those that there is too little for. If there are any, the transaction must not be
/// committed.
async fn reserve(tx: &mut sqlite::Connection, order: &Order, items: &str) -> Result<Vec<Shortage>, StoreError> {
    let reserved: Vec<Vec<u8>> = sqlx::query_scalar(RESERVE).bind(items).fetch_all(&mut *tx).await?;
    if reserved.len() == order.items.len() {
        return Ok(Vec::new());
    }
    let available: Vec<i64> = sqlx::query_scalar(AVAILABLE).bind(items).fetch_all(tx).await?;
    let lines = order.items.iter().zip(available).enumerate();
    Ok(lines
        .filter(|(_, (item, _))| !reserved.contains(&blob(item.product.0)))
        .map(|(line, (_, available))| Shortage { line, available })
        .collect())
}

async fn find(tx: &mut sqlite::Connection, id: OrderId) -> Result<Option<Order>, StoreError> {
    let row: Option<OrderRow> =
        sqlx::query_as("SELECT * FROM orders WHERE id = ?1").bind(blob(id.0)).fetch_optional(tx).await?;
    row.map(OrderRow::order).transpose()
}

async fn insert(tx: &mut sqlite::Connection, order: &Order, items: &str) -> Result<bool, StoreError> {
    let columns = Columns::of(order);
    let done = sqlx::query(INSERT)
        .bind(blob(order.id.0))
        .bind(blob(order.user.0))
        .bind(columns.status)
        .bind(items)
        .bind(order.total.amount)
        .bind(order.total.currency.code())
        .bind(columns.payment_token)
        .bind(order.digest.to_vec())
        .bind(order.origin.traceparent.as_deref())
        .bind(order.origin.tracestate.as_deref())
        .bind(order.origin.canary)
        .bind(columns.version)
        .bind(columns.due_at)
        .bind(columns.attempts)
        .bind(micros(order.created_at))
        .bind(columns.updated_at)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn update(tx: &mut sqlite::Connection, order: &Order, expected: u64) -> Result<bool, StoreError> {
    let columns = Columns::of(order);
    let done = sqlx::query(UPDATE)
        .bind(blob(order.id.0))
        .bind(number(expected))
        .bind(columns.status)
        .bind(columns.reason)
        .bind(columns.payment_id)
        .bind(columns.payment_status)
        .bind(columns.payment_token)
        .bind(columns.version)
        .bind(columns.due_at)
        .bind(columns.attempts)
        .bind(columns.updated_at)
        .bind(columns.was_confirmed)
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Each by itself: one that cannot be read leaves the others as they are.
fn orders(rows: &[SqliteRow]) -> Vec<Row<Order>> {
    rows.iter().map(|row| order(row).map_err(|cause| Unreadable { key: key(row), cause })).collect()
}

fn order(row: &SqliteRow) -> Result<Order, StoreError> {
    OrderRow::from_row(row)?.order()
}

/// The names of the statuses as a JSON array.
fn names(statuses: &[Status]) -> String {
    let names: Vec<&str> = statuses.iter().map(|status| status.name()).collect();
    serde_json::Value::from(names).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn orders_that_have_ended_are_not_looked_through() {
        let database = crate::adapters::sqlite::open("sqlite::memory:").await.unwrap();
        for query in [OF_USER_IN, COUNT_OF_USER_IN] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(explain).fetch_all(&database.read).await.unwrap();
            let plan: Vec<String> = plan.into_iter().map(|(.., step)| step).collect();
            assert!(plan.iter().any(|step| step.contains("(user_id=? AND status=?)")), "{plan:?}");
        }
    }
}
