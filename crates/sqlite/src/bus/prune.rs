//! Forgets events that are old and that nobody needs any more.

use std::time::Duration;

use tokio::time::Instant;

use super::Shared;
use crate::columns;

/// How long events are kept at least, for groups that come late.
const RETENTION: Duration = Duration::from_hours(8 * 24);
/// Events looked at in one go.
const BATCH: i64 = 1_000;
/// The pauses between two looks: where there may be more to forget, and where there is not.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_mins(1);

/// How many there are in a batch, where it ends, and when the youngest of it was logged.
const EXTENT: &str = "SELECT count(*), coalesce(max(place), 0), coalesce(max(logged_at), 0)
    FROM (SELECT place, logged_at FROM log WHERE place > ?1 ORDER BY place LIMIT ?2)";

/// Needed are events that a group has not taken over, that are pending or behind something pending, and dead letters.
const PRUNE: &str = "DELETE FROM log WHERE place IN (
    SELECT l.place FROM log AS l
    WHERE l.place > ?2 AND l.place <= ?3 AND l.logged_at < ?1
      AND l.place < coalesce((SELECT min(place) FROM pending), 9223372036854775807)
      AND NOT EXISTS (SELECT 1 FROM dead AS d WHERE d.place = l.place)
      AND NOT EXISTS (SELECT 1 FROM subscriptions AS s WHERE s.kind = l.kind AND s.cursor < l.place))";

/// When the log is looked at again, and from where on.
pub(super) struct Next {
    at: Instant,
    /// The last place that was looked at: what is needed still, such as many dead letters, must not hide what comes after
    /// it. 0 where the next look begins with the oldest.
    after: i64,
}

impl Default for Next {
    fn default() -> Self {
        Self { at: Instant::now(), after: 0 }
    }
}

impl Next {
    /// Forgets a bounded number of events, where it is time.
    pub(super) async fn prune_if_due(&mut self, shared: &Shared, now: i64) {
        if Instant::now() < self.at {
            return;
        }
        let pause = match self.prune(shared, now).await {
            Ok(true) => SHORT,
            Ok(false) => LONG,
            Err(error) => {
                tracing::debug!(%error, "could not prune the bus");
                LONG
            }
        };
        self.at = Instant::now() + pause;
    }

    /// Says whether what comes next may be old as well.
    async fn prune(&mut self, shared: &Shared, now: i64) -> Result<bool, sqlx::Error> {
        let old = now.saturating_sub(columns::micros(RETENTION));
        let (looked_at, last, youngest): (i64, i64, i64) =
            sqlx::query_as(EXTENT).bind(self.after).bind(BATCH).fetch_one(&shared.database.read).await?;
        let pruned = sqlx::query(PRUNE).bind(old).bind(self.after).bind(last).execute(&shared.database.write).await?;
        // Also where something went and something is young: under a clock that was wrong a few may lie among the old ones.
        let more = looked_at == BATCH && (youngest < old || pruned.rows_affected() > 0);
        self.after = if more { last } else { 0 };
        Ok(more)
    }
}
