//! Accounts that are being closed.

use messaging::Effects;
use sqlx::{Row as _, postgres::PgRow};
use telemetry::Carrier;
use time::OffsetDateTime;

use super::{PostgresStore, accounts::write, row::count};
use crate::{
    adapters::columns::number,
    app::ports::{Due, Saved},
    domain::{Account, UserId},
};

impl PostgresStore {
    pub(super) async fn start_closing(&self, account: &Account, first: OffsetDateTime) -> Result<Saved, sqlx::Error> {
        let id = account.id.0;
        let mut tx = self.pool.begin().await?;
        let saved = write(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            sqlx::query("UPDATE sessions SET revoked_at = $2 WHERE user_id = $1 AND revoked_at IS NULL")
                .bind(id)
                .bind(account.updated_at)
                .execute(&mut *tx)
                .await?;
            let carrier = Carrier::current();
            let sql = "INSERT INTO closings (user_id, next_at, traceparent, tracestate, canary) \
                       VALUES ($1, $2, $3, $4, $5)";
            sqlx::query(sql)
                .bind(id)
                .bind(first)
                .bind(carrier.traceparent)
                .bind(carrier.tracestate)
                .bind(carrier.canary)
                .execute(&mut *tx)
                .await?;
            tx.commit().await?;
        }
        Ok(saved)
    }

    pub(super) async fn take_closings(
        &self,
        now: OffsetDateTime,
        until: OffsetDateTime,
        limit: u32,
    ) -> Result<Vec<Due>, sqlx::Error> {
        let sql = "UPDATE closings SET next_at = $2, attempts = attempts + 1 WHERE user_id IN \
                   (SELECT user_id FROM closings WHERE next_at <= $1 ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED) \
                   RETURNING user_id, attempts, wakes, traceparent, tracestate, canary";
        let query = sqlx::query(sql).bind(now).bind(until).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await?;
        rows.iter().map(due).collect()
    }

    pub(super) async fn put_closing_off(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let sql = "UPDATE closings SET next_at = CASE WHEN wakes = $2 THEN $4 ELSE $3 END WHERE user_id = $1";
        sqlx::query(sql).bind(id.0).bind(number(wakes)).bind(now).bind(next).execute(&self.pool).await.map(drop)
    }

    pub(super) async fn make_closing_due(&self, id: UserId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let sql = "UPDATE closings SET next_at = least(next_at, $2), wakes = wakes + 1 WHERE user_id = $1";
        let done = sqlx::query(sql).bind(id.0).bind(now).execute(&self.pool).await?;
        Ok(done.rows_affected() == 1)
    }

    pub(super) async fn end_closing(&self, account: &Account, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let id = account.id.0;
        let mut tx = self.pool.begin().await?;
        let saved = write(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            sqlx::query("DELETE FROM sessions WHERE user_id = $1").bind(id).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM closings WHERE user_id = $1").bind(id).execute(&mut *tx).await?;
            let _ = messaging::postgres::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }
}

fn due(row: &PgRow) -> Result<Due, sqlx::Error> {
    let carrier = Carrier { traceparent: row.try_get(3)?, tracestate: row.try_get(4)?, canary: row.try_get(5)? };
    let attempts = u32::try_from(row.try_get::<i32, _>(1)?).unwrap_or_default();
    Ok(Due { user: UserId(row.try_get(0)?), attempts, wakes: count(row, 2)?, carrier })
}
