//! Mails that are owed.

use async_trait::async_trait;
use messaging::{Effects, Event, Receipt, Recorded};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PostgresStore, store_error};
use crate::{
    app::ports::{Notifications, StoreError},
    domain::{Email, UserId},
};

#[async_trait]
impl Notifications for PostgresStore {
    async fn record(&self, user: UserId, task: &Event, receipt: Receipt) -> Result<(), StoreError> {
        self.record_notification(user, task, receipt).await.map_err(store_error)
    }

    async fn begin(&self, task: Uuid) -> Result<Option<Email>, StoreError> {
        let sql = "UPDATE notifications SET attempts = attempts + 1 WHERE id = $1 RETURNING email";
        let row = sqlx::query(sql).bind(task).fetch_optional(&self.pool).await.map_err(store_error)?;
        row.map(|row| row.try_get(0).map(Email::stored)).transpose().map_err(store_error)
    }

    async fn finish(&self, task: Uuid) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM notifications WHERE id = $1").bind(task);
        query.execute(&self.pool).await.map(drop).map_err(store_error)
    }

    async fn prune(&self, then: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM notifications WHERE id IN \
                   (SELECT id FROM notifications WHERE created_at <= $1 ORDER BY created_at LIMIT $2 \
                   FOR UPDATE SKIP LOCKED)";
        let done = sqlx::query(sql).bind(then).bind(i64::from(limit)).execute(&self.pool).await;
        done.map(|done| done.rows_affected()).map_err(store_error)
    }
}

impl PostgresStore {
    async fn record_notification(&self, user: UserId, task: &Event, receipt: Receipt) -> Result<(), sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        if postgres::record(&mut tx, &Effects::default().caused_by(receipt)).await? == Recorded::First {
            owe(&mut tx, user, task).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(())
    }
}

/// Stores a mail to the address that the account has now, and the task that sends it. The relay is to be woken.
pub(super) async fn owe(tx: &mut postgres::Connection, user: UserId, task: &Event) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO notifications (id, user_id, email, created_at) \
               SELECT $1, id, email, $3 FROM users WHERE id = $2 AND email IS NOT NULL \
               ON CONFLICT DO NOTHING";
    let done = sqlx::query(sql).bind(task.id).bind(user.0).bind(task.time).execute(&mut *tx).await?;
    if done.rows_affected() == 1 {
        let _ = postgres::record(tx, &Effects::of(vec![task.clone()])).await?;
    }
    Ok(())
}
