//! The hashes of tokens that were sent by mail.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteExecutor};
use time::OffsetDateTime;

use super::{SqliteStore, rows::uuid, sessions::end_sessions, store_error};
use crate::{
    app::ports::{MailTokens, NewMailToken, StoreError, Surviving, TokenHash},
    domain::{MailPurpose, PasswordHash, UserId},
};

#[async_trait]
impl MailTokens for SqliteStore {
    async fn put(&self, token: &NewMailToken) -> Result<bool, StoreError> {
        let sql = "INSERT INTO mail_tokens (user_id, purpose, hash, expires_at) \
                   SELECT id, ?3, ?4, ?5 FROM users WHERE id = ?1 AND email_key = ?2 AND status = 'active' AND disabled_at IS NULL \
                   ON CONFLICT (user_id, purpose) DO UPDATE SET hash = excluded.hash, expires_at = excluded.expires_at";
        let query = sqlx::query(sql)
            .bind(token.user.0.as_bytes().as_slice())
            .bind(token.email.normalized())
            .bind(token.purpose.as_str())
            .bind(token.hash.as_slice())
            .bind(clock::micros(token.expires_at));
        query.execute(&self.db.write).await.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn is_valid(&self, token: &TokenHash, purpose: MailPurpose, now: OffsetDateTime) -> Result<bool, StoreError> {
        find(&self.db.read, token, purpose, now).await.map(|user| user.is_some()).map_err(store_error)
    }

    async fn verify_email(&self, token: &TokenHash, now: OffsetDateTime) -> Result<bool, StoreError> {
        self.mark_verified(token, now).await.map_err(store_error)
    }

    async fn reset_password(
        &self,
        token: &TokenHash,
        password: &PasswordHash,
        now: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.replace_password(token, password, now).await.map_err(store_error)
    }

    async fn verified_at(&self, user: UserId) -> Result<Option<OffsetDateTime>, StoreError> {
        let sql = "SELECT email_verified_at FROM users WHERE id = ?1";
        let row = sqlx::query(sql)
            .bind(user.0.as_bytes().as_slice())
            .fetch_optional(&self.db.read)
            .await
            .map_err(store_error)?;
        let micros: Option<i64> = row.map_or(Ok(None), |row| row.try_get(0)).map_err(store_error)?;
        Ok(micros.map(clock::from_micros))
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM mail_tokens WHERE hash IN \
                   (SELECT hash FROM mail_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)";
        let done = sqlx::query(sql).bind(clock::micros(now)).bind(limit).execute(&self.db.write).await;
        done.map(|done| done.rows_affected()).map_err(store_error)
    }
}

impl SqliteStore {
    async fn mark_verified(&self, token: &TokenHash, now: OffsetDateTime) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let Some(user) = consume(&mut tx, token, MailPurpose::VerifyEmail, now).await? else {
            return Ok(false);
        };
        let sql = "UPDATE users SET email_verified_at = ?2, revision = revision + 1 WHERE id = ?1";
        sqlx::query(sql).bind(user.0.as_bytes().as_slice()).bind(clock::micros(now)).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn replace_password(
        &self,
        token: &TokenHash,
        password: &PasswordHash,
        now: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let Some(user) = consume(&mut tx, token, MailPurpose::ResetPassword, now).await? else {
            return Ok(false);
        };
        let sql = "UPDATE users SET password_hash = ?2, email_verified_at = coalesce(email_verified_at, ?3), \
                   revision = revision + 1 WHERE id = ?1";
        let query =
            sqlx::query(sql).bind(user.0.as_bytes().as_slice()).bind(password.expose()).bind(clock::micros(now));
        query.execute(&mut *tx).await?;
        end_sessions(&mut tx, user, Surviving::None, now).await?;
        tx.commit().await?;
        Ok(true)
    }
}

/// Whose token this is, if it is valid. One that ends later than a new one could was made under a clock that was wrong.
async fn find(
    reader: impl SqliteExecutor<'_>,
    token: &TokenHash,
    purpose: MailPurpose,
    now: OffsetDateTime,
) -> Result<Option<UserId>, sqlx::Error> {
    let sql = "SELECT user_id FROM mail_tokens \
               WHERE hash = ?1 AND purpose = ?2 AND expires_at > ?3 AND expires_at <= ?4";
    let query = sqlx::query(sql).bind(token.as_slice()).bind(purpose.as_str());
    let row = query
        .bind(clock::micros(now))
        .bind(clock::micros(now + purpose.lifetime() + clock::SKEW))
        .fetch_optional(reader)
        .await?;
    row.map(|row| Ok(UserId(uuid(&row, 0)?))).transpose()
}

/// Deletes a valid token of an active account and says whose it was.
async fn consume(
    tx: &mut sqlite::Connection,
    token: &TokenHash,
    purpose: MailPurpose,
    now: OffsetDateTime,
) -> Result<Option<UserId>, sqlx::Error> {
    let Some(user) = find(&mut *tx, token, purpose, now).await? else {
        return Ok(None);
    };
    let sql = "SELECT 1 FROM users WHERE id = ?1 AND status = 'active' AND disabled_at IS NULL";
    if sqlx::query(sql).bind(user.0.as_bytes().as_slice()).fetch_optional(&mut *tx).await?.is_none() {
        return Ok(None);
    }
    let deleted = sqlx::query("DELETE FROM mail_tokens WHERE hash = ?1").bind(token.as_slice()).execute(tx).await?;
    Ok((deleted.rows_affected() == 1).then_some(user))
}
