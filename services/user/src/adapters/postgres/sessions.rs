//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use super::{PostgresStore, store_error};
use crate::{
    adapters::columns::decode_error,
    app::ports::{Session, Sessions, StoreError, TokenHash},
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for PostgresStore {
    async fn open(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool, StoreError> {
        self.insert_session(session, token, now, expires_at).await.map_err(store_error)
    }

    async fn rotate(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<Option<Session>, StoreError> {
        self.rotate_token(old, new, now, expires_at).await.map_err(store_error)
    }

    async fn revoke(&self, id: SessionId, now: OffsetDateTime) -> Result<(), StoreError> {
        let sql = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        let query = sqlx::query(sql).bind(id.0).bind(now);
        query.execute(&self.pool).await.map(drop).map_err(store_error)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        self.delete_expired(now, limit).await.map_err(store_error)
    }
}

impl PostgresStore {
    /// Inserts a session if its account is active.
    async fn insert_session(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        // The lock on the account's row makes one that begins to close at this moment wait until we have committed: its
        // transaction then finds this session and revokes it. Without the lock neither would see the other.
        let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at) \
                   SELECT $1, id, $3::timestamptz, $4::timestamptz FROM users WHERE id = $2 AND status = 'active' FOR SHARE";
        let done = sqlx::query(sql)
            .bind(session.id.0)
            .bind(session.user.0)
            .bind(now)
            .bind(expires_at)
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        insert_token(&mut tx, session.id, token, expires_at).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn rotate_token(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<Option<Session>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let session = consume(&mut tx, old, now).await?;
        if let Some(session) = &session {
            // In the transaction that consumed the old one: a crash in between would otherwise log the owner out.
            insert_token(&mut tx, session.id, new, expires_at).await?;
            sqlx::query("UPDATE sessions SET expires_at = $2 WHERE id = $1")
                .bind(session.id.0)
                .bind(expires_at)
                .execute(&mut *tx)
                .await?;
        } else {
            revoke_if_reused(&mut tx, old, now).await?;
        }
        // In both cases: that the session is revoked must last although the caller is refused.
        tx.commit().await?;
        Ok(session)
    }

    async fn delete_expired(&self, now: OffsetDateTime, limit: u32) -> Result<u64, sqlx::Error> {
        let mut deleted = 0;
        // Used tokens are kept as long as they would have been valid: until then a second use of them has to be noticed.
        // Sessions last as long as their youngest token, so they go after it, and take what is left with them.
        for sql in [
            "DELETE FROM refresh_tokens WHERE hash IN \
             (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
            "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        ] {
            deleted += sqlx::query(sql).bind(now).bind(i64::from(limit)).execute(&self.pool).await?.rows_affected();
        }
        Ok(deleted)
    }
}

async fn insert_token(
    tx: &mut PgConnection,
    session: SessionId,
    token: &TokenHash,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)")
        .bind(token.as_slice())
        .bind(session.0)
        .bind(expires_at)
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it is valid. One statement tests and sets, so of several uses at once one wins: the others
/// wait for its row and then find it used. An expired token, one of a revoked session or of an account that is not active
/// is refused by the same test. The role is read anew each time, so a change of it reaches the next access token.
async fn consume(
    tx: &mut PgConnection,
    token: &TokenHash,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let sql = "UPDATE refresh_tokens AS token SET used_at = $2 \
               FROM sessions AS s JOIN users AS u ON u.id = s.user_id \
               WHERE token.hash = $1 AND token.used_at IS NULL AND token.expires_at > $2 \
               AND s.id = token.session_id AND s.revoked_at IS NULL AND u.status = 'active' \
               RETURNING s.id, s.user_id, u.role";
    let query = sqlx::query(sql).bind(token.as_slice()).bind(now);
    let Some(row) = query.fetch_optional(tx).await? else {
        return Ok(None);
    };
    Ok(Some(Session {
        id: SessionId(row.try_get(0)?),
        user: UserId(row.try_get(1)?),
        role: row.try_get::<&str, _>(2)?.parse().map_err(decode_error)?,
    }))
}

/// Revokes the session of a token that was used before. Either this caller or the one before stole it, and nobody can tell
/// which: so the session ends for both, with every token that came of it. A token that is unknown, expired or revoked but
/// never used changes nothing here.
async fn revoke_if_reused(tx: &mut PgConnection, token: &TokenHash, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = $1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(token.as_slice()).bind(now).execute(tx).await.map(drop)
}
