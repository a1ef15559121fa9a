//! The catalogue on `SQLite`, with its text index and the keys of its commands.

use std::time::Duration;

use async_trait::async_trait;
use clock::micros;
use messaging::{Effects, Event};
use sqlite::record;
use sqlx::{Row as _, SqliteExecutor, sqlite::SqliteRow};

use super::{
    SqliteStore, corrupt,
    rows::{blob, number, product, product_columns, uuid},
};
use crate::{
    app::ports::{CommandKey, Idempotent, Products, Row, StoreError, Unreadable},
    domain::{
        ids::ProductId,
        product::Product,
        values::{RestockQuantity, Sku, Stock},
    },
};

/// How long a key is kept: longer than the day that is promised.
const KEY_RETENTION: Duration = Duration::from_hours(48);

const INSERT: &str = "INSERT INTO products
        (id, sku, name, description, price, currency, version, available, stocked, created_at, updated_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9, ?10) ON CONFLICT (sku) DO NOTHING";

const RESTOCK: &str = "UPDATE products SET available = available + ?2, restocked = restocked + ?2
    WHERE id = ?1 AND available + ?2 <= ?3";

#[async_trait]
impl Products for SqliteStore {
    async fn create(
        &self,
        product: &Product,
        key: Option<&CommandKey>,
        events: Vec<Event>,
    ) -> Result<Idempotent, StoreError> {
        let mut tx = self.database.begin().await?;
        if let Some(key) = key
            && let Some(known) = replay(&mut tx, key).await?
        {
            return Ok(known);
        }
        if !insert(&mut tx, product).await? {
            return Ok(Idempotent::Refused);
        }
        if let Some(key) = key {
            record_key(&mut tx, key, product.id).await?;
        }
        let effects = Effects::of(events);
        let _ = record(&mut tx, &effects).await?;
        self.commit(tx, &effects).await?;
        Ok(Idempotent::Done(Box::new(product.clone())))
    }

    async fn get(&self, id: ProductId) -> Result<Option<Product>, StoreError> {
        find(&self.database.read, id).await
    }

    async fn get_many(&self, ids: &[ProductId]) -> Result<Vec<Product>, StoreError> {
        if let [id] = ids {
            return Ok(self.get(*id).await?.into_iter().collect());
        }
        let ids: Vec<String> = ids.iter().map(|id| hex::encode(id.0.as_bytes())).collect();
        let rows = sqlx::query(concat!(
            "SELECT ",
            product_columns!(),
            " FROM products WHERE id IN (SELECT unhex(value) FROM json_each(?1))"
        ))
        .bind(serde_json::Value::from(ids).to_string())
        .fetch_all(&self.database.read)
        .await?;
        products(&rows)
    }

    async fn list(&self, tokens: &[String], after: Option<Sku>, limit: u32) -> Result<Vec<Row<Product>>, StoreError> {
        let query = if tokens.is_empty() {
            sqlx::query(concat!("SELECT ", product_columns!(), " FROM products WHERE sku > ?1 ORDER BY sku LIMIT ?2"))
        } else {
            sqlx::query(concat!(
                "SELECT ",
                product_columns!(),
                " FROM products WHERE sku > ?1
                    AND rowid IN (SELECT rowid FROM products_text WHERE products_text MATCH ?3)
                 ORDER BY sku LIMIT ?2"
            ))
        };
        let query = query.bind(after.as_ref().map_or("", Sku::as_str)).bind(limit);
        let query = if tokens.is_empty() { query } else { query.bind(match_expression(tokens)) };
        let rows = query.fetch_all(&self.database.read).await?;
        Ok(rows.iter().map(|row| product(row).map_err(|cause| Unreadable { key: sku(row), cause })).collect())
    }

    async fn update(&self, product: &Product, expected: u64, events: Vec<Event>) -> Result<bool, StoreError> {
        let mut tx = self.database.begin().await?;
        let price = product.price.money();
        let done = sqlx::query(
            "UPDATE products SET name = ?3, description = ?4, price = ?5, currency = ?6, version = ?7, updated_at = ?8
             WHERE id = ?1 AND version = ?2",
        )
        .bind(blob(product.id.0))
        .bind(number(expected))
        .bind(product.name.as_str())
        .bind(product.description.as_str())
        .bind(price.amount)
        .bind(price.currency.code())
        .bind(number(product.version))
        .bind(micros(product.updated_at))
        .execute(&mut *tx)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let effects = Effects::of(events);
        let _ = record(&mut tx, &effects).await?;
        self.commit(tx, &effects).await?;
        Ok(true)
    }

    async fn restock(
        &self,
        id: ProductId,
        quantity: RestockQuantity,
        key: &CommandKey,
    ) -> Result<Idempotent, StoreError> {
        let mut tx = self.database.begin().await?;
        if let Some(known) = replay(&mut tx, key).await? {
            return Ok(known);
        }
        let done =
            sqlx::query(RESTOCK).bind(blob(id.0)).bind(quantity.pieces()).bind(Stock::MAX).execute(&mut *tx).await?;
        if done.rows_affected() == 0 {
            return Ok(Idempotent::Refused);
        }
        record_key(&mut tx, key, id).await?;
        let product = existing(&mut tx, id).await?;
        tx.commit().await?;
        Ok(Idempotent::Done(product))
    }
}

async fn insert(tx: &mut sqlite::Connection, product: &Product) -> Result<bool, StoreError> {
    let price = product.price.money();
    let done = sqlx::query(INSERT)
        .bind(blob(product.id.0))
        .bind(product.sku.as_str())
        .bind(product.name.as_str())
        .bind(product.description.as_str())
        .bind(price.amount)
        .bind(price.currency.code())
        .bind(number(product.version))
        .bind(product.available)
        .bind(micros(product.created_at))
        .bind(micros(product.updated_at))
        .execute(tx)
        .await?;
    Ok(done.rows_affected() == 1)
}

async fn find(reader: impl SqliteExecutor<'_>, id: ProductId) -> Result<Option<Product>, StoreError> {
    let row = sqlx::query(concat!("SELECT ", product_columns!(), " FROM products WHERE id = ?1"))
        .bind(blob(id.0))
        .fetch_optional(reader)
        .await?;
    row.as_ref().map(product).transpose()
}

/// The product that must be there.
async fn existing(tx: &mut sqlite::Connection, id: ProductId) -> Result<Box<Product>, StoreError> {
    find(tx, id).await?.map(Box::new).ok_or(corrupt("reference to a product"))
}

/// The outcome of a command whose key was used before; `None` where it was not.
async fn replay(tx: &mut sqlite::Connection, key: &CommandKey) -> Result<Option<Idempotent>, StoreError> {
    let row: Option<(Vec<u8>, Vec<u8>)> =
        sqlx::query_as("SELECT digest, product_id FROM commands WHERE user_id = ?1 AND command = ?2 AND key = ?3")
            .bind(blob(key.user.0))
            .bind(&key.command)
            .bind(&key.key)
            .fetch_optional(&mut *tx)
            .await?;
    let Some((digest, id)) = row else {
        return Ok(None);
    };
    if digest != key.digest {
        return Ok(Some(Idempotent::KeyReused));
    }
    let id = uuid(&id, "product id")?;
    Ok(Some(Idempotent::Replayed(existing(tx, ProductId(id)).await?)))
}

/// Stores the key, and deletes two of those that need not be kept, so that the table does not grow without end and no
/// command pays for many.
async fn record_key(tx: &mut sqlite::Connection, key: &CommandKey, id: ProductId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM commands WHERE seq IN (SELECT seq FROM commands WHERE at < ?1 ORDER BY at LIMIT 2)")
        .bind(micros(key.at - KEY_RETENTION))
        .execute(&mut *tx)
        .await?;
    sqlx::query("INSERT INTO commands (user_id, command, key, digest, product_id, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")
        .bind(blob(key.user.0))
        .bind(&key.command)
        .bind(&key.key)
        .bind(key.digest.to_vec())
        .bind(blob(id.0))
        .bind(micros(key.at))
        .execute(tx)
        .await?;
    Ok(())
}

fn sku(row: &SqliteRow) -> Option<Sku> {
    row.try_get("sku").ok().and_then(|sku| Sku::parse(sku).ok())
}

fn products(rows: &[SqliteRow]) -> Result<Vec<Product>, StoreError> {
    rows.iter().map(product).collect()
}

/// The FTS5 expression that all tokens match: each is a quoted phrase, of which the last word may go on.
pub(super) fn match_expression(tokens: &[String]) -> String {
    let quote = |token: &String| format!("\"{}\"*", token.replace('"', "\"\""));
    tokens.iter().map(quote).collect::<Vec<_>>().join(" AND ")
}

#[cfg(test)]
mod tests {
    use super::match_expression;

    #[test]
    fn what_is_searched_for_is_no_query_language() {
        let tokens = ["sal\"t".to_owned(), "NOT".to_owned()];
        assert_eq!(match_expression(&tokens), r#""sal""t"* AND "NOT"*"#);
    }
}
