//! Sessions and the hashes of their refresh tokens.

use async_trait::async_trait;
use sqlx::{Row as _, sqlite::SqliteRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::{
    SqliteStore,
    rows::{time, uuid},
    store_error,
};
use crate::{
    adapters::columns::{decode_error, readable, seed},
    app::ports::{
        NewSession, OpenSession, REPEAT_WITHIN, Renewal, Renewed, Session, Sessions, StoreError, Surviving, TokenHash,
    },
    domain::{SessionId, UserId},
};

#[async_trait]
impl Sessions for SqliteStore {
    async fn open(&self, new: &NewSession) -> Result<bool, StoreError> {
        self.insert_session(new).await.map_err(store_error)
    }

    async fn renew(&self, renewal: &Renewal) -> Result<Option<Renewed>, StoreError> {
        self.exchange_token(renewal).await.map_err(store_error)
    }

    async fn revoke(&self, user: UserId, id: SessionId, now: OffsetDateTime) -> Result<bool, StoreError> {
        let sql = "UPDATE sessions SET revoked_at = coalesce(revoked_at, ?3) WHERE id = ?1 AND user_id = ?2";
        let query = sqlx::query(sql).bind(id.0.as_bytes().as_slice()).bind(user.0.as_bytes().as_slice());
        let done = query.bind(clock::micros(now)).execute(&self.db.write).await;
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
                   WHERE user_id = ?1 AND revoked_at IS NULL AND expires_at > ?2 AND id < ?3 \
                   ORDER BY id DESC LIMIT ?4";
        let before = after.map_or(Uuid::max(), |id| id.0);
        let query = sqlx::query(sql).bind(user.0.as_bytes().as_slice()).bind(clock::micros(now));
        let rows = query.bind(before.as_bytes().as_slice()).bind(limit).fetch_all(&self.db.read).await;
        rows.map(|rows| readable("session", &rows, open_session, |row| uuid(row, 0))).map_err(store_error)
    }

    async fn prune(&self, now: OffsetDateTime, limit: u32) -> Result<u64, StoreError> {
        self.delete_expired(now, limit).await.map_err(store_error)
    }
}

impl SqliteStore {
    /// Inserts a session if its account is active and has the password. The database has one writer at a time: an account
    /// that begins to close, or whose password changes, does so before, and is found like that here, or after, and then
    /// revokes this session.
    async fn insert_session(&self, new: &NewSession) -> Result<bool, sqlx::Error> {
        let mut tx = self.db.begin().await?;
        let sql = "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) \
                   SELECT ?1, id, ?3, ?3, ?4 FROM users WHERE id = ?2 AND status = 'active' AND disabled_at IS NULL \
                   AND password_hash = ?5";
        let done = sqlx::query(sql)
            .bind(new.session.id.0.as_bytes().as_slice())
            .bind(new.session.user.0.as_bytes().as_slice())
            .bind(clock::micros(new.now))
            .bind(clock::micros(new.expires_at))
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
        // Read without the write lock first: guessed tokens do not keep writers waiting.
        let known = sqlx::query("SELECT 1 FROM refresh_tokens WHERE hash = ?1").bind(renewal.token.as_slice());
        if known.fetch_optional(&self.db.read).await?.is_none() {
            return Ok(None);
        }
        let mut tx = self.db.begin().await?;
        let mut renewed = consume(&mut tx, renewal).await?;
        if let Some(Renewed { session, .. }) = &renewed {
            // In the transaction that consumed the old one: a crash in between would otherwise log the owner out.
            insert_token(&mut tx, session.id, (&renewal.successor, Some(&renewal.token)), renewal.expires_at).await?;
            sqlx::query("UPDATE sessions SET expires_at = ?2, last_used_at = ?3 WHERE id = ?1")
                .bind(session.id.0.as_bytes().as_slice())
                .bind(clock::micros(renewal.expires_at))
                .bind(clock::micros(renewal.now))
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

/// Revokes the sessions of an account that do not survive a change of it, and what was sent to its address before.
/// Access tokens live on for their few minutes.
pub(super) async fn end_sessions(
    tx: &mut sqlite::Connection,
    user: UserId,
    surviving: Surviving,
    now: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let kept = match surviving {
        Surviving::All => return Ok(()),
        Surviving::Only(session) => session.0,
        Surviving::None => Uuid::nil(),
    };
    let sql = "UPDATE sessions SET revoked_at = ?3 WHERE user_id = ?1 AND id <> ?2 AND revoked_at IS NULL";
    sqlx::query(sql)
        .bind(user.0.as_bytes().as_slice())
        .bind(kept.as_bytes().as_slice())
        .bind(clock::micros(now))
        .execute(&mut *tx)
        .await?;
    let sql = "DELETE FROM mail_tokens WHERE user_id = ?1";
    sqlx::query(sql).bind(user.0.as_bytes().as_slice()).execute(tx).await.map(drop)
}

/// Stores a token, with the one that it follows.
async fn insert_token(
    tx: &mut sqlite::Connection,
    session: SessionId,
    (token, predecessor): (&TokenHash, Option<&TokenHash>),
    expires_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO refresh_tokens (hash, session_id, predecessor, expires_at) VALUES (?1, ?2, ?3, ?4)")
        .bind(token.as_slice())
        .bind(session.0.as_bytes().as_slice())
        .bind(predecessor.map(<[u8; 32]>::as_slice))
        .bind(clock::micros(expires_at))
        .execute(tx)
        .await
        .map(drop)
}

/// Marks a token as used, if it is valid. One statement tests and sets, so of several uses at once one wins: the others
/// find it used. An expired token, one of a revoked session or of an account that is not active is refused by the same
/// test. The role is read anew each time, so a change of it reaches the next access token.
async fn consume(tx: &mut sqlite::Connection, renewal: &Renewal) -> Result<Option<Renewed>, sqlx::Error> {
    let sql = "UPDATE refresh_tokens SET used_at = ?2, seed = ?3 \
               FROM sessions s JOIN users u ON u.id = s.user_id \
               WHERE refresh_tokens.hash = ?1 AND refresh_tokens.used_at IS NULL AND refresh_tokens.expires_at > ?2 \
               AND s.id = refresh_tokens.session_id AND s.revoked_at IS NULL AND u.status = 'active' AND u.disabled_at IS NULL \
               RETURNING session_id, \
               (SELECT user_id FROM sessions WHERE id = session_id), \
               (SELECT role FROM users JOIN sessions ON users.id = user_id WHERE sessions.id = session_id), seed";
    let query = sqlx::query(sql).bind(renewal.token.as_slice());
    let query = query.bind(clock::micros(renewal.now)).bind(renewal.seed.as_slice());
    let Some(row) = query.fetch_optional(&mut *tx).await? else {
        return Ok(None);
    };
    // Now that the successor is used, the token that it followed gives nothing any more.
    let sql = "UPDATE refresh_tokens SET seed = NULL \
               WHERE hash = (SELECT predecessor FROM refresh_tokens WHERE hash = ?1)";
    sqlx::query(sql).bind(renewal.token.as_slice()).execute(tx).await?;
    renewed(&row).map(Some)
}

/// Finds the successor of a token that was used a moment ago and whose seed is still there.
async fn repeat(tx: &mut sqlite::Connection, renewal: &Renewal) -> Result<Option<Renewed>, sqlx::Error> {
    let sql = "SELECT s.id, s.user_id, u.role, t.seed FROM refresh_tokens t \
               JOIN sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id \
               WHERE t.hash = ?1 AND t.seed IS NOT NULL AND t.used_at BETWEEN ?2 AND ?3 \
               AND s.revoked_at IS NULL AND u.status = 'active' AND u.disabled_at IS NULL";
    let query = sqlx::query(sql).bind(renewal.token.as_slice());
    let query = query.bind(clock::micros(renewal.now - REPEAT_WITHIN)).bind(clock::micros(renewal.now + REPEAT_WITHIN));
    query.fetch_optional(tx).await?.as_ref().map(renewed).transpose()
}

fn open_session(row: &SqliteRow) -> Result<OpenSession, sqlx::Error> {
    Ok(OpenSession {
        id: SessionId(uuid(row, 0)?),
        created_at: time(row, 1)?,
        last_used_at: time(row, 2)?,
        expires_at: time(row, 3)?,
    })
}

fn renewed(row: &SqliteRow) -> Result<Renewed, sqlx::Error> {
    let session = Session {
        id: SessionId(uuid(row, 0)?),
        user: UserId(uuid(row, 1)?),
        role: row.try_get::<String, _>(2)?.parse().map_err(decode_error)?,
    };
    Ok(Renewed { session, seed: seed(row.try_get(3)?)? })
}

/// Revokes the session of a token that was used before. Either this caller or the one before stole it, and nobody can tell
/// which: so the session ends for both, with every token that came of it. A token that is unknown, expired or revoked but
/// never used changes nothing here.
async fn revoke_if_reused(tx: &mut sqlite::Connection, renewal: &Renewal) -> Result<(), sqlx::Error> {
    let sql = "UPDATE sessions SET revoked_at = ?2 WHERE revoked_at IS NULL AND id = \
               (SELECT session_id FROM refresh_tokens WHERE hash = ?1 AND used_at IS NOT NULL)";
    sqlx::query(sql).bind(renewal.token.as_slice()).bind(clock::micros(renewal.now)).execute(tx).await.map(drop)
}
