//! Forgets events that are old and that nobody needs any more.

use std::time::Duration;

use super::Shared;
use crate::columns;

/// How long events are kept at least, for groups that come late.
const RETENTION: Duration = Duration::from_hours(8 * 24);
/// Events looked at in one go.
const BATCH: i64 = 1_000;

/// Needed are events that a group has not taken over, that are pending or behind something pending, and dead letters.
const PRUNE: &str = "DELETE FROM log WHERE place IN (
    SELECT l.place FROM (SELECT place, kind, logged_at FROM log ORDER BY place LIMIT ?2) AS l
    WHERE l.logged_at < ?1
      AND l.place < coalesce((SELECT min(place) FROM pending), 9223372036854775807)
      AND l.place NOT IN (SELECT place FROM dead)
      AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.kind = l.kind AND s.cursor < l.place))";

/// Forgets a bounded number; says whether there is more to forget.
pub(super) async fn prune(shared: &Shared, now: i64) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(PRUNE)
        .bind(now.saturating_sub(columns::micros(RETENTION)))
        .bind(BATCH)
        .execute(&shared.database.write)
        .await?;
    Ok(done.rows_affected() > 0)
}
