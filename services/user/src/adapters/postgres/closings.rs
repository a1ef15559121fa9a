//! Accounts that are being closed.

use async_trait::async_trait;
use messaging::{Effects, Event};
use sqlx::{Row as _, postgres::PgRow};
use telemetry::Carrier;
use time::OffsetDateTime;

use super::{
    PostgresStore, accounts::update_if_unchanged, notifications::owe, rows::count, sessions::end_sessions, store_error,
};
use crate::{
    adapters::columns::{as_i64, readable},
    app::ports::{Closings, DueClosing, Saved, StoreError, Surviving},
    domain::{Account, UserId},
};

#[async_trait]
impl Closings for PostgresStore {
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

impl PostgresStore {
    async fn insert_closing(&self, account: &Account, due_at: OffsetDateTime) -> Result<Saved, sqlx::Error> {
        let id = account.id.0;
        let mut tx = self.pool.begin().await?;
        let saved = update_if_unchanged(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            // Refresh tokens stop here. Access tokens live on for their few minutes; what they may do is decided by the
            // account's status.
            end_sessions(&mut tx, account.id, Surviving::None, account.updated_at).await?;
            // Kept for the sweeper, which works without a request: what it does still belongs to this one.
            let carrier = Carrier::current();
            let sql = "INSERT INTO closings (user_id, next_at, traceparent, tracestate, canary) \
                       VALUES ($1, $2, $3, $4, $5)";
            sqlx::query(sql)
                .bind(id)
                .bind(due_at)
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
        // Rows that another process is claiming are skipped instead of waited for: they are its own then.
        let sql = "UPDATE closings SET next_at = $2, attempts = attempts + 1 WHERE user_id IN (SELECT user_id \
                   FROM closings WHERE next_at <= $1 OR next_at > $4 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
                   RETURNING user_id, attempts, wakes, traceparent, tracestate, canary";
        let query = sqlx::query(sql).bind(now).bind(until).bind(i64::from(limit)).bind(now + clock::HORIZON);
        let rows = query.fetch_all(&self.pool).await?;
        Ok(readable("closing", &rows, due, |row| row.try_get(0)))
    }

    async fn update_due(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        due_at: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        // A wake-up that came since the closing was claimed wins over the later time, whatever the order of the two.
        let sql = "UPDATE closings SET next_at = CASE WHEN wakes = $2 THEN $4 ELSE $3 END WHERE user_id = $1";
        sqlx::query(sql).bind(id.0).bind(as_i64(wakes)).bind(now).bind(due_at).execute(&self.pool).await.map(drop)
    }

    async fn count_wake(&self, id: UserId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE closings SET next_at = least(next_at, $2), wakes = wakes + 1 WHERE user_id = $1";
        let done = sqlx::query(sql).bind(id.0).bind(now).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    async fn delete_closing(
        &self,
        account: &Account,
        task: Option<&Event>,
        effects: &Effects,
    ) -> Result<Saved, sqlx::Error> {
        let id = account.id.0;
        let mut tx = self.pool.begin().await?;
        if let Some(task) = task {
            // First: the account has its address yet.
            owe(&mut tx, account.id, task).await?;
        }
        let saved = update_if_unchanged(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            // Revoked since the closing began; now they go, with their tokens.
            sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(id).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM closings WHERE user_id = $1").bind(id).execute(&mut *tx).await?;
            let _ = postgres::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }
}

fn due(row: &PgRow) -> Result<DueClosing, sqlx::Error> {
    let carrier = Carrier { traceparent: row.try_get(3)?, tracestate: row.try_get(4)?, canary: row.try_get(5)? };
    let attempts = u32::try_from(row.try_get::<i32, _>(1)?).unwrap_or_default();
    Ok(DueClosing { user: UserId(row.try_get(0)?), attempts, wakes: count(row, 2)?, carrier })
}
