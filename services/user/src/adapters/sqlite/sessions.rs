//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{Row as _, SqliteConnection};
use time::OffsetDateTime;

use super::{SqliteStore, failure, row::uuid};
use crate::{
    adapters::columns::decode,
    app::ports::{Failure, Session, Sessions, TokenHash},
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<bool, Failure> {
        self.insert_session(session, token, now, end).await.map_err(failure)
    }

    async fn rotate(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Option<Session>, Failure> {
        self.replace(old, new, now, end).await.map_err(failure)
    }

    async fn revoke(&self, id: SessionId, now: OffsetDateTime) -> Result<(), Failure> {
        let sql = "UPDATE sessions SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL";
        let query = sqlx::query(sql).bind(id.0.as_bytes().as_slice()).bind(clock::micros(now));
        query.execute(&self.db.write).await.map(drop).map_err(failure)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, Failure> {
        self.delete_ended(now, limit).await.map_err(failure)
    }
}

impl SqliteStore {
    async fn insert_session(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at) \
                   SELECT ?1, id, ?3, ?4 FROM users WHERE id = ?2 AND status = 'active'";
        let done = sqlx::query(sql)
            .bind(session.id.0.as_bytes().as_slice())
            .bind(session.user.0.as_bytes().as_slice())
            .bind(clock::micros(now))
            .bind(clock::micros(end))
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        insert_token(&mut tx, session.id, token, end).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn replace(
        &self,
        old: &TokenHash,
        new: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<Option<Session>, sqlx::Error> {
        // Looked at without the write lock first: guessed tokens do not keep writers waiting.
        let known = sqlx::query("SELECT 1 FROM refresh_tokens WHERE hash = ?1").bind(old.as_slice());
        if known.fetch_optional(&self.db.read).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.db.begin().await?;
        let session = use_up(&mut tx, old, now).await?;
        if let Some(session) = &session {
            insert_token(&mut tx, session.id, new, end).await?;
            sqlx::query("UPDATE sessions SET expires_at = ?2 WHERE id = ?1")
                .bind(session.id.0.as_bytes().as_slice())
                .bind(clock::micros(end))
                .execute(&mut *tx)
                .await?;
        } else {
            revoke_if_used(&mut tx, old, now).await?;
        }
        tx.commit().await?;
        Ok(session)
    }

    async fn delete_ended(&self, now: OffsetDateTime, limit: u32) -> Result<u64, sqlx::Error> {
        let now = clock::micros(now);
        let mut dropped = 0;
        for sql in [
            "DELETE FROM refresh_tokens WHERE hash IN \
             (SELECT hash FROM refresh_tokens WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
            "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
        ] {
            dropped += sqlx::query(sql).bind(now).bind(limit).execute(&self.db.write).await?.rows_affected();
        }
        Ok(dropped)
    }
}

async fn insert_token(
    tx: &mut SqliteConnection,
    session: SessionId,
    token: &TokenHash,
    end: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES (?1, ?2, ?3)")
        .bind(token.as_slice())
        .bind(session.0.as_bytes().as_slice())
        .bind(clock::micros(end))
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it lets anybody in: one statement, so that of several uses one wins.
async fn use_up(
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
        role: row.try_get::<String, _>(2)?.parse().map_err(decode)?,
    }))
}

/// Somebody used the token before: owner or thief, nobody knows, so the whole family ends.
async fn revoke_if_used(tx: &mut SqliteConnection, token: &TokenHash, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = ?2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = ?1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(token.as_slice()).bind(clock::micros(now)).execute(tx).await.map(drop)
}
