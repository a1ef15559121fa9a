//! The audit on `SQLite`: everything read in one transaction, so at one moment.

use async_trait::async_trait;

use super::{
    SqliteStore, corrupt,
    rows::{count, money, uuid},
};
use crate::{
    app::ports::{Audit, StockViolation, StoreError, Totals},
    domain::{ids::ProductId, status::Status},
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
        FROM orders, json_each(orders.items) AS line
        WHERE orders.status NOT IN ('rejected', 'cancelled')
        GROUP BY 1
    ), stock AS (
        SELECT id, available, stocked + restocked - coalesce(held.quantity, 0) AS expected
        FROM products LEFT JOIN held ON held.product = lower(hex(products.id))
    )
    SELECT id, available, expected FROM stock WHERE available < 0 OR available <> expected LIMIT 100";

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
}

async fn by_status(tx: &mut sqlite::Connection) -> Result<Vec<(Status, u64)>, StoreError> {
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT status, count(*) FROM orders GROUP BY status").fetch_all(tx).await?;
    let read = |(name, n): (String, i64)| Ok((Status::named(&name).ok_or(corrupt("status"))?, count(n)));
    rows.into_iter().map(read).collect()
}

async fn sums(tx: &mut sqlite::Connection, query: &'static str) -> Result<Vec<money::Money>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as(query).fetch_all(tx).await?;
    rows.into_iter().map(|(currency, amount)| money(amount, &currency)).collect()
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
