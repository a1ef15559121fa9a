//! The audit on `SQLite`: everything read in one transaction, so at one moment.

use async_trait::async_trait;

use sqlx::FromRow;

use super::{
    SqliteStore,
    rows::{blob, count, uuid},
};
use crate::{
    app::ports::{Audit, AuditedCustomer, AuditedOrder, StockViolation, StoreError, Sum, Totals, confirmed},
    domain::ids::{OrderId, ProductId, UserId},
};

const HELD: &str =
    "SELECT currency, sum(amount) FROM orders WHERE status = 'confirmed' GROUP BY currency ORDER BY currency";
const CAPTURED: &str = "SELECT currency, sum(amount) FROM orders
    WHERE payment_status IN ('captured', 'refunded') GROUP BY currency ORDER BY currency";
const REFUNDED: &str = "SELECT currency, sum(amount) FROM orders
    WHERE payment_status = 'refunded' GROUP BY currency ORDER BY currency";

/// Products whose stock is not what creation, restocking and orders say; the first hundred.
const VIOLATIONS: &str = "WITH held AS (
        SELECT line.value ->> 'p' AS product, sum(line.value ->> 'q') AS quantity
        FROM orders, json_each(CASE WHEN json_valid(orders.items) THEN orders.items ELSE '[]' END) AS line
        WHERE line.type = 'object' AND orders.status NOT IN ('rejected', 'cancelled')
        GROUP BY 1
    ), stock AS (
        SELECT id, available, stocked + restocked - coalesce(held.quantity, 0) AS expected
        FROM products LEFT JOIN held ON held.product = lower(hex(products.id))
    )
    SELECT id, available, expected FROM stock WHERE available < 0 OR available <> expected LIMIT 100";

const ORDERS: &str = "SELECT id, user_id, status, payment_id, payment_status, amount, currency, was_confirmed,
        CASE WHEN json_valid(items) THEN
            (SELECT sum(line.value ->> 'q' * line.value ->> 'u') FROM json_each(items) AS line WHERE line.type = 'object')
        END AS lines
    FROM orders WHERE id > ?1 ORDER BY id LIMIT ?2";

const CUSTOMERS: &str = "SELECT user_id, status, was_confirmed, count(*) FROM orders
    WHERE user_id IN (SELECT DISTINCT user_id FROM orders WHERE user_id > ?1 ORDER BY user_id LIMIT ?2)
    GROUP BY user_id, status, was_confirmed ORDER BY user_id";

#[derive(FromRow)]
struct AuditedRow {
    id: Vec<u8>,
    user_id: Vec<u8>,
    status: String,
    payment_id: Option<Vec<u8>>,
    payment_status: Option<String>,
    amount: i64,
    currency: String,
    was_confirmed: Option<bool>,
    lines: Option<i64>,
}

#[async_trait]
impl Audit for SqliteStore {
    async fn totals(&self) -> Result<Totals, StoreError> {
        let mut tx = self.database.read.begin().await?;
        Ok(Totals {
            orders: by_status(&mut tx).await?,
            held: sums(&mut tx, HELD).await?,
            captured: sums(&mut tx, CAPTURED).await?,
            refunded: sums(&mut tx, REFUNDED).await?,
            products: number_of(&mut tx, "SELECT count(*) FROM products").await?,
            violations: violations(&mut tx).await?,
            outbox: number_of(&mut tx, "SELECT count(*) FROM outbox").await?,
        })
    }

    async fn orders(&self, after: Option<OrderId>, limit: u32) -> Result<Vec<AuditedOrder>, StoreError> {
        let after = after.map_or_else(Vec::new, |after| blob(after.0));
        let rows: Vec<AuditedRow> =
            sqlx::query_as(ORDERS).bind(after).bind(limit).fetch_all(&self.database.read).await?;
        rows.into_iter().map(audited).collect()
    }

    async fn customers(&self, after: Option<UserId>, limit: u32) -> Result<Vec<AuditedCustomer>, StoreError> {
        let after = after.map_or_else(Vec::new, |after| blob(after.0));
        let rows: Vec<(Vec<u8>, String, Option<bool>, i64)> =
            sqlx::query_as(CUSTOMERS).bind(after).bind(limit).fetch_all(&self.database.read).await?;
        let mut customers: Vec<AuditedCustomer> = Vec::new();
        for (user, status, was_confirmed, n) in rows {
            let user = UserId(uuid(&user, "user id")?);
            if customers.last().is_none_or(|last| last.user != user) {
                customers.push(AuditedCustomer::new(user));
            }
            if let Some(customer) = customers.last_mut() {
                customer.count(&status, was_confirmed, count(n));
            }
        }
        Ok(customers)
    }
}

fn audited(row: AuditedRow) -> Result<AuditedOrder, StoreError> {
    let payment = row.payment_id.zip(row.payment_status);
    Ok(AuditedOrder {
        id: OrderId(uuid(&row.id, "order id")?),
        user: UserId(uuid(&row.user_id, "user id")?),
        payment: payment.map(|(id, status)| Ok::<_, StoreError>((uuid(&id, "payment id")?, status))).transpose()?,
        total: Sum { amount: row.amount, currency: row.currency },
        lines: row.lines,
        confirmed: confirmed(&row.status, row.was_confirmed),
        status: row.status,
    })
}

async fn by_status(tx: &mut sqlite::Connection) -> Result<Vec<(String, u64)>, StoreError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM orders GROUP BY status").fetch_all(tx).await?;
    Ok(rows.into_iter().map(|(status, n)| (status, count(n))).collect())
}

async fn sums(tx: &mut sqlite::Connection, query: &'static str) -> Result<Vec<Sum>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(tx).await?;
    Ok(rows.into_iter().map(|(currency, amount)| Sum { amount, currency }).collect())
}

async fn number_of(tx: &mut sqlite::Connection, query: &'static str) -> Result<u64, StoreError> {
    Ok(count(sqlx::query_scalar(query).fetch_one(tx).await?))
}

async fn violations(tx: &mut sqlite::Connection) -> Result<Vec<StockViolation>, StoreError> {
    let rows: Vec<(Vec<u8>, i64, i64)> = sqlx::query_as(VIOLATIONS).fetch_all(tx).await?;
    let read = |(id, available, expected): (Vec<u8>, i64, i64)| {
        let product = uuid(&id, "product id")?;
        Ok(StockViolation { product: ProductId(product), available, expected })
    };
    rows.into_iter().map(read).collect()
}
