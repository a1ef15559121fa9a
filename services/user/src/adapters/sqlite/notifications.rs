//! Mails that are owed.

use async_trait::async_trait;
use messaging::{Effects, Event, Receipt, Recorded};
use sqlx::Row as _;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{SqliteStore, store_error};
use crate::{
    app::ports::{Notifications, StoreError},
    domain::{Email, UserId},
};

#[async_trait]
impl Notifications for SqliteStore {
    async fn record(&self, user: UserId, task: &Event, receipt: Receipt) -> Result<(), StoreError> {
        self.record_notification(user, task, receipt).await.map_err(store_error)
    }

    async fn begin(&self, task: Uuid) -> Result<Option<Email>, StoreError> {
        let sql = "UPDATE notifications SET attempts = attempts + 1 WHERE id = ?1 RETURNING email";
        let query = sqlx::query(sql).bind(task.as_bytes().as_slice());
        let row = query.fetch_optional(&self.db.write).await.map_err(store_error)?;
        row.map(|row| row.try_get(0).map(Email::stored)).transpose().map_err(store_error)
    }

    async fn finish(&self, task: Uuid) -> Result<(), StoreError> {
        let query = sqlx::query("DELETE FROM notifications WHERE id = ?1").bind(task.as_bytes().as_slice());
        query.execute(&self.db.write).await.map(drop).map_err(store_error)
    }

    async fn prune(&self, then: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM notifications WHERE id IN \
                   (SELECT id FROM notifications WHERE created_at <= ?1 ORDER BY created_at LIMIT ?2)";
        let done = sqlx::query(sql).bind(clock::micros(then)).bind(limit).execute(&self.db.write).await;
        done.map(|done| done.rows_affected()).map_err(store_error)
    }
}

impl SqliteStore {
    async fn record_notification(&self, user: UserId, task: &Event, receipt: Receipt) -> Result<(), sqlx::Error> {
        let mut tx = self.db.begin().await?;
        if sqlite::record(&mut tx, &Effects::default().caused_by(receipt)).await? == Recorded::First {
            owe(&mut tx, user, task).await?;
            tx.commit().await?;
            self.wake.poke();
        }
        Ok(())
    }
}

/// Stores a mail to the address that the account has now, and the task that sends it. The relay is to be woken.
pub(super) async fn owe(tx: &mut sqlite::Connection, user: UserId, task: &Event) -> Result<(), sqlx::Error> {
    let sql = "INSERT INTO notifications (id, user_id, email, created_at) \
               SELECT ?1, id, email, ?3 FROM users WHERE id = ?2 AND email IS NOT NULL \
               ON CONFLICT DO NOTHING";
    let query = sqlx::query(sql).bind(task.id.as_bytes().as_slice()).bind(user.0.as_bytes().as_slice());
    let done = query.bind(clock::micros(task.time)).execute(&mut *tx).await?;
    if done.rows_affected() == 1 {
        let _ = sqlite::record(tx, &Effects::of(vec![task.clone()])).await?;
    }
    Ok(())
}
