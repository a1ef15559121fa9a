//! Dead letters: inserting, listing, resolving.

use messaging::{Cause, DEAD_LETTERS, DeadLetter, Error, Reason, Resolution, Tag};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use crate::{Database, columns};

const INSERT: &str = "INSERT INTO dead (grp, place, key, attempts, replays, cause, detail, dead_at)
    SELECT grp, place, key, attempts, replays, ?3, ?4, ?5 FROM pending WHERE seq = ?1 AND fence = ?2";

const LIST: &str = "SELECT l.*, g.name AS grp, d.attempts, d.replays, d.cause, d.detail, d.dead_at
    FROM dead AS d JOIN groups AS g ON g.id = d.grp JOIN log AS l ON l.place = d.place
    WHERE ?1 IS NULL OR g.name = ?1 ORDER BY d.id LIMIT ?2";

const COUNT: &str = "SELECT count(*) FROM dead WHERE grp = (SELECT id FROM groups WHERE name = ?1)";

/// Whether the group of a delivery has room for it; rows that cannot be read are put aside in any case, and take none.
const ROOM: &str = "SELECT count(*) < ?2 FROM dead
    WHERE grp = (SELECT grp FROM pending WHERE seq = ?1) AND cause <> 'unreadable'";

const REMOVE: &str = "DELETE FROM dead
    WHERE grp = (SELECT id FROM groups WHERE name = ?1) AND place = (SELECT place FROM log WHERE id = ?2)
    RETURNING grp, place, key, replays";

const REQUEUE: &str = "INSERT INTO pending (grp, place, key, head, visible_at, replays)
    VALUES (?1, ?2, ?3,
            CASE WHEN EXISTS (SELECT 1 FROM pending WHERE grp = ?1 AND key = ?3) THEN 0
                 ELSE 1 + coalesce((SELECT canary FROM log WHERE place = ?2), 0) END,
            ?4, ?5 + 1)";

/// Moves a delivery to the dead letters of its group; false when it is not the caller's any more.
pub(super) async fn insert(database: &Database, tag: Tag, reason: &Reason, now: i64) -> Result<bool, Error> {
    let mut tx = database.begin().await.map_err(Error::bus)?;
    let room = sqlx::query_scalar(ROOM).bind(tag.position).bind(DEAD_LETTERS);
    if !room.fetch_one(&mut *tx).await.map_err(Error::bus)? {
        return Err(Error::NoRoom);
    }
    let inserted = insert_in(&mut tx, tag, reason, now).await.map_err(Error::bus)?;
    tx.commit().await.map_err(Error::bus)?;
    Ok(inserted)
}

/// The same in a transaction, wherever there is room; false when it is not the caller's any more.
pub(super) async fn insert_in(
    tx: &mut crate::Connection,
    tag: Tag,
    reason: &Reason,
    now: i64,
) -> Result<bool, sqlx::Error> {
    let inserted = sqlx::query(INSERT)
        .bind(tag.position)
        .bind(tag.fence)
        .bind(reason.cause.as_str())
        .bind(reason.detail.as_str())
        .bind(now)
        .execute(&mut *tx)
        .await?;
    sqlx::query("DELETE FROM pending WHERE seq = ?1 AND fence = ?2")
        .bind(tag.position)
        .bind(tag.fence)
        .execute(&mut *tx)
        .await?;
    Ok(inserted.rows_affected() == 1)
}

/// The dead letters of a group or of all, oldest first.
pub(super) async fn list(database: &Database, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
    let found = sqlx::query(LIST)
        .bind(group)
        .bind(columns::limit(limit))
        .fetch_all(&database.read)
        .await
        .map_err(Error::bus)?;
    let mut dead_letters = Vec::with_capacity(found.len());
    for row in &found {
        match read(row) {
            Ok(dead_letter) => dead_letters.push(dead_letter),
            Err(error) => {
                let position: i64 = row.try_get("place").map_err(Error::bus)?;
                tracing::error!(position, %error, "a dead letter cannot be read: it is left out");
            }
        }
    }
    Ok(dead_letters)
}

/// How many dead letters a group has.
pub(super) async fn count(database: &Database, group: &str) -> Result<u64, sqlx::Error> {
    sqlx::query_scalar(COUNT).bind(group).fetch_one(&database.read).await.map(columns::count)
}

fn read(row: &SqliteRow) -> Result<DeadLetter, Error> {
    let event = columns::event(row)?;
    let number = |name| row.try_get::<i64, _>(name).map_err(|error| Error::Malformed(error.to_string()));
    let text = |name| row.try_get::<String, _>(name).map_err(|error| Error::Malformed(error.to_string()));
    Ok(DeadLetter {
        group: text("grp")?,
        event,
        attempts: columns::small(number("attempts")?),
        replays: columns::small(number("replays")?),
        reason: Reason { cause: Cause::parse(&text("cause")?), detail: text("detail")? },
        dead_at: clock::from_micros(number("dead_at")?),
    })
}

/// Takes dead letters away, or puts them back behind what waits for their keys. All of them or, on an error, none.
pub(super) async fn resolve(
    database: &Database,
    group: &str,
    events: &[Uuid],
    resolution: Resolution,
    now: i64,
) -> Result<u64, sqlx::Error> {
    let (mut tx, mut resolved) = (database.begin().await?, 0);
    for event in events {
        let remove = sqlx::query(REMOVE).bind(group).bind(event.as_bytes().as_slice());
        let Some(row) = remove.fetch_optional(&mut *tx).await? else { continue };
        resolved += 1;
        if resolution == Resolution::Replay {
            sqlx::query(REQUEUE)
                .bind(row.try_get::<i64, _>("grp")?)
                .bind(row.try_get::<i64, _>("place")?)
                .bind(row.try_get::<String, _>("key")?)
                .bind(now)
                .bind(row.try_get::<i64, _>("replays")?)
                .execute(&mut *tx)
                .await?;
        }
    }
    tx.commit().await?;
    Ok(resolved)
}
