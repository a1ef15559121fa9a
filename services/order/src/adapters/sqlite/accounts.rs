//! Closing and disabled accounts on `SQLite`.

use async_trait::async_trait;
use clock::micros;
use time::OffsetDateTime;

use super::{
    SqliteStore,
    rows::{blob, number},
};
use crate::{
    app::ports::{Accounts, Standing, StoreError},
    domain::ids::UserId,
};

#[async_trait]
impl Accounts for SqliteStore {
    async fn standing(&self, user: UserId) -> Result<Standing, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM closing_accounts WHERE user_id = ?1), \
                   EXISTS (SELECT 1 FROM disabled_accounts WHERE user_id = ?1 AND disabled)";
        let marks = sqlx::query_as(sql).bind(blob(user.0)).fetch_one(&self.database.read).await?;
        Ok(match marks {
            (true, _) => Standing::Closing,
            (false, true) => Standing::Disabled,
            (false, false) => Standing::Active,
        })
    }

    async fn set_disabled(&self, user: UserId, version: u64, disabled: bool) -> Result<(), StoreError> {
        let sql = "INSERT INTO disabled_accounts (user_id, version, disabled) VALUES (?1, ?2, ?3) \
                   ON CONFLICT DO UPDATE SET version = excluded.version, disabled = excluded.disabled \
                   WHERE excluded.version > version";
        let query = sqlx::query(sql).bind(blob(user.0)).bind(number(version)).bind(disabled);
        query.execute(&self.database.write).await?;
        Ok(())
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
