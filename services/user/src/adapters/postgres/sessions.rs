//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{Row as _, postgres::PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{PostgresStore, store_error};
use crate::{
    adapters::columns::{decode_error, readable, seed},
    app::ports::{
        NewSession, OpenSession, REPEAT_WITHIN, Renewal, Renewed, Session, Sessions, StoreError, Surviving, TokenHash,
    },
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for PostgresStore {
    async fn open(&self, new: &NewSession) -> Result<bool, StoreError> {
        self.insert_session(new).await.map_err(store_error)
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError> {
        self.exchange_token(renewal).await.map_err(store_error)
    }

    async fn revoke(&self, user: UserId, id: SessionId, now: OffsetDateTime) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET revoked_at = coalesce(revoked_at, $3) WHERE id = $1 AND user_id = $2";
        let done = sqlx::query(sql).bind(id.0).bind(user.0).bind(now).execute(&self.pool).await;
        done.map(|done| done.rows_affected() == 1).map_err(store_error)
    }

    async fn list(
        &self,
        user: UserId,
        now: OffsetDateTime,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<OpenSession>, StoreError> {
        // Ids are UUIDs of version 7: their order is that of time.
        let sql = "SELECT id, created_at, coalesce(last_used_at, created_at), expires_at FROM sessions \
                   WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND id < $3 \
                   ORDER BY id DESC LIMIT $4";
        let query =
            sqlx::query(sql).bind(user.0).bind(now).bind(after.map_or(Uuid::max(), |id| id.0)).bind(i64::from(limit));
        let rows = query.fetch_all(&self.pool).await;
        rows.map(|rows| readable("session", &rows, open_session, |row| row.try_get(0))).map_err(store_error)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        self.delete_expired(now, limit).await.map_err(store_error)
    }
}

impl PostgresStore {
    /// Inserts a session if its account is active and has the password.
    async fn insert_session(&self, new: &NewSession) -> Result<bool, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        // The lock on the account's row makes one that begins to close, or whose password changes, at this moment wait until
        // we have committed: its transaction then finds this session and revokes it. Without the lock neither would see the
        // other.
        let sql = "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) \
                   SELECT $1, id, $3::timestamptz, $3::timestamptz, $4::timestamptz FROM users \
                   WHERE id = $2 AND status = 'active' AND disabled_at IS NULL \
                   AND password_hash = $5 FOR SHARE";
        let done = sqlx::query(sql)
            .bind(new.session.id.0)
            .bind(new.session.user.0)
            .bind(new.now)
            .bind(new.expires_at)
            .bind(new.password.expose())
            .execute(&mut *tx)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        insert_token(&mut tx, new.session.id, (&new.token, None), new.expires_at).await?;
        tx.commit().await?;
        Ok(true)
    }

    async fn exchange_token(&self, renewal: &Renewal) -> Result<Option<Renewed>, sqlx::Error> {
        let mut tx = self.pool.begin().await?;
        let mut renewed = consume(&mut tx, renewal).await?;
        if let Some(Renewed { session, .. }) = &renewed {
            // In the transaction that consumed the old one: a crash in between would otherwise log the owner out.
            insert_token(&mut tx, session.id, (&renewal.successor, Some(&renewal.token)), renewal.expires_at).await?;
            sqlx::query("UPDATE sessions SET expires_at = $2, last_used_at = $3 WHERE id = $1")
                .bind(session.id.0)
                .bind(renewal.expires_at)
                .bind(renewal.now)
                .execute(&mut *tx)
                .await?;
        } else {
            renewed = repeat(&mut tx, renewal).await?;
        }
        if renewed.is_none() {
            revoke_if_reused(&mut tx, renewal).await?;
        }
        // In all cases: that the session is revoked must last although the caller is refused.
        tx.commit().await?;
        Ok(renewed)
    }

    async fn delete_expired(&self, now: OffsetDateTime, limit: u32) -> Result<u64, sqlx::Error> {
        let mut deleted = 0;
        // Used tokens are kept as long as they would have been valid: until then a second use of them has to be noticed.
        // Sessions last as long as their youngest token, so they go after it, and take what is left with them.
        // What another process is just deleting is left to it.
        for sql in [
            "DELETE FROM refresh_tokens WHERE hash IN \
             (SELECT hash FROM refresh_tokens WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 \
             FOR UPDATE SKIP LOCKED)",
            "DELETE FROM sessions WHERE id IN \
             (SELECT id FROM sessions WHERE expires_at <= $1 ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)",
        ] {
            deleted += sqlx::query(sql).bind(now).bind(i64::from(limit)).execute(&self.pool).await?.rows_affected();
        }
        Ok(deleted)
    }
}

/// Revokes the sessions of an account that do not survive a change of it, and what was sent to its address before.
/// Access tokens live on for their few minutes.
pub(super) async fn end_sessions(
    tx: &mut postgres::Connection,
    user: UserId,
    surviving: Surviving,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let kept = match surviving {
        Surviving::All => return Ok(()),
        Surviving::Only(session) => session.0,
        Surviving::None => Uuid::nil(),
    };
    let sql = "UPDATE sessions SET revoked_at = $3 WHERE user_id = $1 AND id <> $2 AND revoked_at IS NULL";
    sqlx::query(sql).bind(user.0).bind(kept).bind(now).execute(&mut *tx).await?;
    sqlx::query("DELETE FROM mail_tokens WHERE user_id = $1").bind(user.0).execute(tx).await.map(drop)
}

/// Stores a token, with the one that it follows.
async fn insert_token(
    tx: &mut postgres::Connection,
    session: SessionId,
    (token, predecessor): (&TokenHash, Option<&TokenHash>),
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, predecessor, expires_at) VALUES ($1, $2, $3, $4)")
        .bind(token.as_slice())
        .bind(session.0)
        .bind(predecessor.map(<[u8; 32]>::as_slice))
        .bind(expires_at)
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it is valid. One statement tests and sets, so of several uses at once one wins: the others
/// wait for its row and then find it used. An expired token, one of a revoked session or of an account that is not active
/// is refused by the same test. The role is read anew each time, so a change of it reaches the next access token.
async fn consume(tx: &mut postgres::Connection, renewal: &Renewal) -> Result<Option<Renewed>, sqlx::Error> {
    let sql = "UPDATE refresh_tokens AS token SET used_at = $2, seed = $3 \
               FROM sessions AS s JOIN users AS u ON u.id = s.user_id \
               WHERE token.hash = $1 AND token.used_at IS NULL AND token.expires_at > $2 \
               AND s.id = token.session_id AND s.revoked_at IS NULL AND u.status = 'active' AND u.disabled_at IS NULL \
               RETURNING s.id, s.user_id, u.role, token.seed";
    let query = sqlx::query(sql).bind(renewal.token.as_slice()).bind(renewal.now).bind(renewal.seed.as_slice());
    let Some(row) = query.fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    // Now that the successor is used, the token that it followed gives nothing any more.
    let sql = "UPDATE refresh_tokens SET seed = NULL \
               WHERE hash = (SELECT predecessor FROM refresh_tokens WHERE hash = $1)";
    sqlx::query(sql).bind(renewal.token.as_slice()).execute(tx).await?;
    renewed(&row).map(Some)
}

/// Finds the successor of a token that was used a moment ago and whose seed is still there. The lock on its row keeps the
/// successor from being used until this is decided.
async fn repeat(tx: &mut postgres::Connection, renewal: &Renewal) -> Result<Option<Renewed>, sqlx::Error> {
    let sql = "SELECT s.id, s.user_id, u.role, token.seed FROM refresh_tokens AS token \
               JOIN sessions AS s ON s.id = token.session_id JOIN users AS u ON u.id = s.user_id \
               WHERE token.hash = $1 AND token.seed IS NOT NULL AND token.used_at BETWEEN $2 AND $3 \
               AND s.revoked_at IS NULL AND u.status = 'active' AND u.disabled_at IS NULL FOR SHARE OF token";
    let query = sqlx::query(sql).bind(renewal.token.as_slice());
    let query = query.bind(renewal.now - REPEAT_WITHIN).bind(renewal.now + REPEAT_WITHIN);
    query.fetch_optional(tx).await?.as_ref().map(renewed).transpose()
}

fn open_session(row: &PgRow) -> Result<OpenSession, sqlx::Error> {
    Ok(OpenSession {
        id: SessionId(row.try_get(0)?),
        created_at: postgres::time(row, 1)?,
        last_used_at: postgres::time(row, 2)?,
        expires_at: postgres::time(row, 3)?,
    })
}

fn renewed(row: &PgRow) -> Result<Renewed, sqlx::Error> {
    let session = Session {
        id: SessionId(row.try_get(0)?),
        user: UserId(row.try_get(1)?),
        role: row.try_get::<&str, _>(2)?.parse().map_err(decode_error)?,
    };
    Ok(Renewed { session, seed: seed(row.try_get(3)?)? })
}

/// Revokes the session of a token that was used before. Either this caller or the one before stole it, and nobody can tell
/// which: so the session ends for both, with every token that came of it. A token that is unknown, expired or revoked but
/// never used changes nothing here.
async fn revoke_if_reused(tx: &mut postgres::Connection, renewal: &Renewal) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = $2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = $1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(renewal.token.as_slice()).bind(renewal.now).execute(tx).await.map(drop)
}
