//! Accounts that are being closed.

use messaging::Effects;
use sqlx::{Row as _, sqlite::SqliteRow};
use telemetry::Carrier;
use time::OffsetDateTime;

use super::{
    SqliteStore,
    accounts::write,
    row::{count, uuid},
};
use crate::{
    adapters::columns::number,
    app::ports::{Due, Saved},
    domain::{Account, UserId},
};

impl SqliteStore {
    pub(super) async fn start_closing(&self, account: &Account, first: OffsetDateTime) -> Result<Saved, sqlx::Error> {
        let id = account.id.0.as_bytes().as_slice();
        let mut tx = self.db.begin().await?;
        let saved = write(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            sqlx::query("UPDATE sessions SET revoked_at = ?2 WHERE user_id = ?1 AND revoked_at IS NULL")
                .bind(id)
                .bind(clock::micros(account.updated_at))
                .execute(&mut *tx)
                .await?;
            let carrier = Carrier::current();
            let sql = "INSERT INTO closings (user_id, next_at, traceparent, tracestate, canary) \
                       VALUES (?1, ?2, ?3, ?4, ?5)";
            sqlx::query(sql)
                .bind(id)
                .bind(clock::micros(first))
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
        // Looked at without the write lock first: nearly always there is none.
        let some = sqlx::query("SELECT 1 FROM closings WHERE next_at <= ?1 LIMIT 1");
        if some.bind(clock::micros(now)).fetch_optional(&self.db.read).await?.is_none() {
            return Ok(Vec::new());
        }
        let sql = "UPDATE closings SET next_at = ?2, attempts = attempts + 1 WHERE user_id IN \
                   (SELECT user_id FROM closings WHERE next_at <= ?1 ORDER BY next_at LIMIT ?3) \
                   RETURNING user_id, attempts, wakes, traceparent, tracestate, canary";
        let query = sqlx::query(sql).bind(clock::micros(now)).bind(clock::micros(until)).bind(limit);
        let rows = query.fetch_all(&self.db.write).await?;
        rows.iter().map(due).collect()
    }

    pub(super) async fn put_closing_off(
        &self,
        id: UserId,
        wakes: u64,
        now: OffsetDateTime,
        next: OffsetDateTime,
    ) -> Result<(), sqlx::Error> {
        let sql = "UPDATE closings SET next_at = CASE WHEN wakes = ?2 THEN ?4 ELSE ?3 END WHERE user_id = ?1";
        sqlx::query(sql)
            .bind(id.0.as_bytes().as_slice())
            .bind(number(wakes))
            .bind(clock::micros(now))
            .bind(clock::micros(next))
            .execute(&self.db.write)
            .await
            .map(drop)
    }

    pub(super) async fn make_closing_due(&self, id: UserId, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let id = id.0.as_bytes().as_slice();
        // Looked at without the write lock first: nearly every order that ends is of an account that stays.
        let some = sqlx::query("SELECT 1 FROM closings WHERE user_id = ?1").bind(id);
        if some.fetch_optional(&self.db.read).await?.is_none() {
            return Ok(false);
        }
        let sql = "UPDATE closings SET next_at = min(next_at, ?2), wakes = wakes + 1 WHERE user_id = ?1";
        let done = sqlx::query(sql).bind(id).bind(clock::micros(now)).execute(&self.db.write).await?;
        Ok(done.rows_affected() == 1)
    }

    pub(super) async fn end_closing(&self, account: &Account, effects: &Effects) -> Result<Saved, sqlx::Error> {
        let id = account.id.0.as_bytes().as_slice();
        let mut tx = self.db.begin().await?;
        let saved = write(&mut tx, account).await?;
        if let Saved::Stored(_) = saved {
            sqlx::query("DELETE FROM sessions WHERE user_id = ?1").bind(id).execute(&mut *tx).await?;
            sqlx::query("DELETE FROM closings WHERE user_id = ?1").bind(id).execute(&mut *tx).await?;
            let _ = messaging::sqlite::record(&mut tx, effects).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(saved)
    }
}

fn due(row: &SqliteRow) -> Result<Due, sqlx::Error> {
    let carrier = Carrier { traceparent: row.try_get(3)?, tracestate: row.try_get(4)?, canary: row.try_get(5)? };
    Ok(Due { user: UserId(uuid(row, 0)?), attempts: row.try_get(1)?, wakes: count(row, 2)?, carrier })
}
