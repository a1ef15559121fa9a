//! Accounts that are being closed.

use async_trait::async_trait;
use messaging::{Effects, Event};
use sqlx::{Row as _, sqlite::SqliteRow};
use telemetry::Carrier;
use time::OffsetDateTime;

use super::{
    SqliteStore,
    accounts::update_if_unchanged,
    notifications::owe,
    rows::{count, uuid},
    sessions::end_sessions,
    store_error,
};
use crate::{
    adapters::columns::{as_i64, readable},
    app::ports::{Closings, DueClosing, Saved, StoreError, Surviving},
    domain::{Account, UserId},
};

#[async_trait]
impl Closings for SqliteStore {
    async fn begin(&self, account: &Account, due_at: OffsetDateTime) -> Result<Saved, StoreError> {
        self.insert_closing(account, due_at).await.map_err(store_error)
    }

    async fn claim_due(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<DueClosing>, StoreError> {
        self.claim_closings(now, until, limit).await.map_err(store_error)
    }

    async fn postpone(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        due_at: OffsetDateTime,
    ) -> Result<(), StoreError> {
        self.update_due(id, wakes, now, due_at).await.map_err(store_error)
    }

    async fn wake(&self, id: UserId, now: OffsetDateTime) -> Result<bool, StoreError> {
        self.count_wake(id, now).await.map_err(store_error)
    }

    async fn finish(&self, account: &Account, task: Option<&Event>, effects: &Effects) -> Result<Saved, StoreError> {
        self.delete_closing(account, task, effects).await.map_err(store_error)
    }
}

impl SqliteStore {
    async fn insert_closing(&self, account: &Account, due_at: OffsetDateTime) -> Result<Saved, sqlx::Error> {
        let id = account.id.0.as_bytes().as_slice();
        let mut tx = self.db.begin().await?;
        let saved = update_if_unchanged(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            // Refresh tokens stop here. Access tokens live on for their few minutes; what they may do is decided by the
            // account's status.
            end_sessions(&mut tx, account.id, Surviving::None, account.updated_at).await?;
            // Kept for the sweeper, which works without a request: what it does still belongs to this one.
            let carrier = Carrier::current();
            let sql = "INSERT INTO closings (user_id, next_at, traceparent, tracestate, canary) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            sqlx::query(sql)
                .bind(id)
                .bind(clock::micros(due_at))
                .bind(carrier.traceparent)
                .bind(carrier.tracestate)
                .bind(carrier.canary)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(saved)
    }

    async fn claim_closings(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<DueClosing>, sqlx::Error> {
        // Read without the write lock first: nearly always none is due.
        let horizon = clock::micros(now + clock::HORIZON);
        let any = sqlx::query("SELECT 1 FROM closings WHERE next_at <= ?1 OR next_at > ?2 LIMIT 1");
        if any.bind(clock::micros(now)).bind(horizon).fetch_optional(&self.db.read).await?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "UPDATE closings SET next_at = ?2, attempts = attempts + 1 WHERE user_id IN \
                   (SELECT user_id FROM closings WHERE next_at <= ?1 OR next_at > ?4 ORDER BY next_at LIMIT ?3) \
                   RETURNING user_id, attempts, wakes, traceparent, tracestate, canary";
        let query = sqlx::query(sql).bind(clock::micros(now)).bind(clock::micros(until)).bind(limit).bind(horizon);
        let rows = query.fetch_all(&self.db.write).await?;
        Ok(readable("closing", &rows, due, |row| uuid(row, 0)))
    }

    async fn update_due(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        due_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        // A wake-up that came since the closing was claimed wins over the later time, whatever the order of the two.
        let sql = "UPDATE closings SET next_at = CASE WHEN wakes = ?2 THEN ?4 ELSE ?3 END WHERE user_id = ?1";
        sqlx::query(sql)
            .bind(id.0.as_bytes().as_slice())
            .bind(as_i64(wakes))
            .bind(clock::micros(now))
            .bind(clock::micros(due_at))
            .execute(&self.db.write)
            .await
            .map(drop)
    }

    async fn count_wake(&self, id: UserId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let id = id.0.as_bytes().as_slice();
        // Read without the write lock first: nearly every order that ends is of an account that stays.
        let any = sqlx::query("SELECT 1 FROM closings WHERE user_id = ?1").bind(id);
        if any.fetch_optional(&self.db.read).await?.is_none() {
            return Ok(false);
        }
        let sql = "UPDATE closings SET next_at = min(next_at, ?2), wakes = wakes + 1 WHERE user_id = ?1";
        let done = sqlx::query(sql).bind(id).bind(clock::micros(now)).execute(&self.db.write).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_closing(
        &self,
        account: &Account,
        task: Option<&Event>,
        effects: &Effects,
    ) -> Result<Saved, sqlx::Error> {
        let id = account.id.0.as_bytes().as_slice();
        let mut tx = self.db.begin().await?;
        if let Some(task) = task {
            // First: the account has its address yet.
            owe(&mut tx, account.id, task).await?;
        }
        let saved = update_if_unchanged(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            // Revoked since the closing began; now they go, with their tokens.
            sqlx::query("DELETE FROM sessions WHERE user_id = ?1").bind(id).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM closings WHERE user_id = ?1").bind(id).execute(&mut *tx).await?;
            let _ = sqlite::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }
}

fn due(row: &SqliteRow) -> Result<DueClosing, sqlx::Error> {
    let carrier = Carrier { traceparent: row.try_get(3)?, tracestate: row.try_get(4)?, canary: row.try_get(5)? };
    Ok(DueClosing { user: UserId(uuid(row, 0)?), attempts: row.try_get(1)?, wakes: count(row, 2)?, carrier })
}
