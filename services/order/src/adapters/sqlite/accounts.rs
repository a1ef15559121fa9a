//! Closing accounts on `SQLite`.

use async_trait::async_trait;
use clock::micros;
use time::OffsetDateTime;

use super::{SqliteStore, rows::blob};
use crate::{
    app::ports::{Accounts, StoreError},
    domain::ids::UserId,
};

#[async_trait]
impl Accounts for SqliteStore {
    async fn is_closing(&self, user: UserId) -> Result<bool, StoreError> {
        let row: Option<i64> = sqlx::query_scalar("SELECT at FROM closing_accounts WHERE user_id = ?1")
            .bind(blob(user.0))
            .fetch_optional(&self.database.read)
            .await?;
        Ok(row.is_some())
    }

    async fn close(&self, user: UserId, now: OffsetDateTime) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO closing_accounts (user_id, at) VALUES (?1, ?2) ON CONFLICT DO NOTHING")
            .bind(blob(user.0))
            .bind(micros(now))
            .execute(&self.database.write)
            .await?;
        Ok(())
    }
}
