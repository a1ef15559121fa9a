//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{PgConnection, Row as _};
use time::OffsetDateTime;

use super::{PostgresStore, failure};
use crate::{
    adapters::columns::decode,
    app::ports::{Failure, Session, Sessions, TokenHash},
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for PostgresStore {
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
        let sql = "UPDATE sessions SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL";
        let query = sqlx::query(sql).bind(id.0).bind(now);
        query.execute(&self.pool).await.map(drop).map_err(failure)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, Failure> {
        self.delete_ended(now, limit).await.map_err(failure)
    }
}

impl PostgresStore {
    /// An account that begins to close meanwhile waits for us, and then ends this session too.
    async fn insert_session(
        &self,
        session: &Session,
        token: &TokenHash,
        now: OffsetDateTime,
        end: OffsetDateTime,
    ) -> Result<bool, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let sql = "INSERT INTO sessions (id, user_id, created_at, expires_at) \
                   SELECT $1, id, $3::timestamptz, $4::timestamptz FROM users WHERE id = $2 AND status = 'active' FOR SHARE";
        let done =
            sqlx::query(sql).bind(session.id.0).bind(session.user.0).bind(now).bind(end).execute(&mut *tx).await?;
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
        let mut tx = self.pool.begin().await?;
        let session = use_up(&mut tx, old, now).await?;
        if let Some(session) = &session {
            insert_token(&mut tx, session.id, new, end).await?;
            sqlx::query("UPDATE sessions SET expires_at = $2 WHERE id = $1")
                .bind(session.id.0)
                .bind(end)
                .execute(&mut *tx)
                .await?;
        } else {
            revoke_if_used(&mut tx, old, now).await?;
        }
        tx.commit().await?;
        Ok(session)
    }

    async fn delete_ended(&self, now: OffsetDateTime, limit: u32) -> Result<u64, sqlx::Error> {
        let mut dropped = 0;
        for sql in [
            "DELETE FROM refresh_tokens WHERE hash IN \
             (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
            "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2)",
        ] {
            dropped += sqlx::query(sql).bind(now).bind(i64::from(limit)).execute(&self.pool).await?.rows_affected();
        }
        Ok(dropped)
    }
}

async fn insert_token(
    tx: &mut PgConnection,
    session: SessionId,
    token: &TokenHash,
    end: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, expires_at) VALUES ($1, $2, $3)")
        .bind(token.as_slice())
        .bind(session.0)
        .bind(end)
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it lets anybody in: one statement, so that of several uses one wins.
async fn use_up(tx: &mut PgConnection, token: &TokenHash, now: OffsetDateTime) -> Result<Option<Session>, sqlx::Error> {
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
        role: row.try_get::<&str, _>(2)?.parse().map_err(decode)?,
    }))
}

/// Somebody used the token before: owner or thief, nobody knows, so the whole family ends.
async fn revoke_if_used(tx: &mut PgConnection, token: &TokenHash, now: OffsetDateTime) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = $1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(token.as_slice()).bind(now).execute(tx).await.map(drop)
}
