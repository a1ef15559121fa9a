//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};
use time::OffsetDateTime;

use super::{SqliteStore, rows::uuid, store_error};
use crate::{
    adapters::columns::decode_error,
    app::ports::{Session, Sessions, StoreError, TokenHash},
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for SqliteStore {
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
        let sql = "UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        let query = sqlx::query(sql).bind(id.0.as_bytes().as_slice()).bind(clock::micros(now));
        query.execute(&self.db.write).await.map(drop).map_err(store_error)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        self.delete_expired(now, limit).await.map_err(store_error)
    }
}

impl SqliteStore {
    /// Inserts a session if its account is active. The database has one writer at a time: an account that begins to close
    /// does so before, and is found not active here, or after, and then revokes this session.
    async fn insert_session(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        expires_at: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at) \
                   SELECT ?1, id, ?3, ?4 FROM users WHERE id = ?2 AND status = 'active'";
        let done = sqlx::query(sql)
            .bind(session.id.0.as_bytes().as_slice())
            .bind(session.user.0.as_bytes().as_slice())
            .bind(clock::micros(now))
            .bind(clock::micros(expires_at))
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
        // Read without the write lock first: guessed tokens do not keep writers waiting.
        let known = sqlx::query("SELECT 1 FROM refresh_tokens WHERE hash = ?1").bind(old.as_slice());
        if known.fetch_optional(&self.db.read).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.db.begin().await?;
        let session = consume(&mut tx, old, now).await?;
        if let Some(session) = &session {
            // In the transaction that consumed the old one: a crash in between would otherwise log the owner out.
            insert_token(&mut tx, session.id, new, expires_at).await?;
            sqlx::query("UPDATE sessions SET expires_at = ?2 WHERE id = ?1")
                .bind(session.id.0.as_bytes().as_slice())
                .bind(clock::micros(expires_at))
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
        let now = clock::micros(now);
        let mut deleted = 0;
        // Used tokens are kept as long as they would have been valid: until then a second use of them has to be noticed.
        // Sessions last as long as their youngest token, so they go after it, and take what is left with them.
        for sql in [
            "DELETE FROM refresh_tokens WHERE hash IN \
             (SELECT hash FROM refresh_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        ] {
            deleted += sqlx::query(sql).bind(now).bind(limit).execute(&self.db.write).await?.rows_affected();
        }
        Ok(deleted)
    }
}

async fn insert_token(
    tx: &mut SqliteConnection,
    session: SessionId,
    token: &TokenHash,
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES (?1, ?2, ?3)")
        .bind(token.as_slice())
        .bind(session.0.as_bytes().as_slice())
        .bind(clock::micros(expires_at))
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it is valid. One statement tests and sets, so of several uses at once one wins: the others
/// find it used. An expired token, one of a revoked session or of an account that is not active is refused by the same
/// test. The role is read anew each time, so a change of it reaches the next access token.
async fn consume(
    tx: &mut SqliteConnection,
    token: &TokenHash,
    now: OffsetDateTime,
) -> Result<Option<Session>, sqlx::Error> {
    let sql = "UPDATE refresh_tokens SET used_at = ?2 \
               FROM sessions s JOIN users u ON u.id = s.user_id \
               WHERE refresh_tokens.hash = ?1 AND refresh_tokens.used_at IS NULL AND refresh_tokens.expires_at > ?2 \
               AND s.id = refresh_tokens.session_id AND s.revoked_at IS NULL AND u.status = 'active' \
               RETURNING session_id, \
               (SELECT user_id FROM sessions WHERE id = session_id), \
               (SELECT role FROM users JOIN sessions ON users.id = user_id WHERE sessions.id = session_id)";
    let query = sqlx::query(sql).bind(token.as_slice()).bind(clock::micros(now));
    let Some(row) = query.fetch_optional(tx).await? else {
        return Ok(None);
    };
    Ok(Some(Session {
        id: SessionId(uuid(&row, 0)?),
        user: UserId(uuid(&row, 1)?),
        role: row.try_get::<String, _>(2)?.parse().map_err(decode_error)?,
    }))
}

/// Revokes the session of a token that was used before. Either this caller or the one before stole it, and nobody can tell
/// which: so the session ends for both, with every token that came of it. A token that is unknown, expired or revoked but
/// never used changes nothing here.
async fn revoke_if_reused(
    tx: &mut SqliteConnection,
    token: &TokenHash,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = ?2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = ?1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(token.as_slice()).bind(clock::micros(now)).execute(tx).await.map(drop)
}
