//! Reading the log by position: nothing of it is written down anywhere.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Cursor, Error, Event, Position, Tailed};
use sqlx::{FromRow, Row};
use tokio::sync::watch;

use super::{POLL, Shared};
use crate::columns;

/// What the signals know tails by; groups are numbered from 1 on.
const TAILS: i64 = 0;
/// Events read at a time.
const BATCH: i64 = 256;

/// All that was ever logged counts, also what has been forgotten since.
const EXTENT: &str = "SELECT (SELECT log FROM identity) AS log,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'log'), 0) AS last,
    (SELECT min(place) FROM log) AS first";

/// By place and not by the index on kinds: a tail is near the end.
const EVENTS: &str = "SELECT * FROM log NOT INDEXED
    WHERE place > ?1 AND place <= ?2 AND kind IN (SELECT value FROM json_each(?3)) ORDER BY place LIMIT ?4";

/// Which log it is, and from where to where it goes.
#[derive(FromRow)]
struct Extent {
    log: i64,
    last: i64,
    first: Option<i64>,
}

impl Extent {
    /// The last place before the first that is kept.
    fn before(&self) -> i64 {
        self.first.map_or(self.last, |first| first - 1)
    }

    fn cursor(&self, read: i64) -> Cursor {
        Cursor::new(self.log.cast_unsigned(), [columns::count(read)])
    }
}

/// A reader of the log.
pub(super) struct Tail {
    shared: Arc<Shared>,
    /// A JSON list.
    kinds: String,
    signal: watch::Receiver<u64>,
    cursor: Cursor,
    /// Up to where the log was looked through for these kinds.
    scanned: i64,
    ready: VecDeque<(Position, Result<Event, Error>)>,
}

impl Tail {
    pub(super) async fn open(shared: Arc<Shared>, kinds: &[&str], back: u64) -> Result<Self, Error> {
        let signal = shared.signals.subscribe(TAILS);
        let kinds = serde_json::to_string(kinds).map_err(Error::Encode)?;
        let extent = extent(&shared).await?;
        let scanned = extent.last.saturating_sub_unsigned(back).max(extent.before());
        Ok(Self { shared, kinds, signal, cursor: extent.cursor(scanned), scanned, ready: VecDeque::new() })
    }

    /// Reads what has come; says whether the log is another one, or has forgotten what came next.
    async fn read(&mut self) -> Result<bool, Error> {
        let extent = extent(&self.shared).await?;
        let other = extent.log.cast_unsigned() != self.cursor.log() || extent.last < self.scanned;
        if other || extent.before() > self.scanned {
            tracing::error!(
                read = self.scanned,
                last = extent.last,
                other_log = other,
                "events are missing from the log"
            );
            self.scanned = extent.before();
            self.cursor = extent.cursor(self.scanned);
            return Ok(true);
        }
        if extent.last == self.scanned {
            return Ok(false);
        }
        let events = sqlx::query(EVENTS).bind(self.scanned).bind(extent.last).bind(&self.kinds).bind(BATCH);
        let rows = events.fetch_all(&self.shared.database.read).await.map_err(Error::bus)?;
        for row in &rows {
            let place: i64 = row.try_get("place").map_err(Error::bus)?;
            self.ready.push_back((Position { partition: 0, offset: columns::count(place) }, columns::event(row)));
            self.scanned = place;
        }
        if columns::limit(rows.len()) < BATCH {
            self.scanned = extent.last;
        }
        Ok(false)
    }
}

async fn extent(shared: &Shared) -> Result<Extent, Error> {
    sqlx::query_as(EXTENT).fetch_one(&shared.database.read).await.map_err(Error::bus)
}

#[async_trait]
impl messaging::Tail for Tail {
    async fn next(&mut self) -> Result<Tailed, Error> {
        loop {
            while let Some((position, event)) = self.ready.pop_front() {
                self.cursor.advance(position);
                match event {
                    Ok(event) => return Ok(Tailed::Event(position, Box::new(event))),
                    Err(error) => messaging::unreadable("sqlite", position, &error),
                }
            }
            // Marked before the log is read: what is signalled after that ends the wait.
            self.signal.mark_unchanged();
            if self.read().await? {
                return Ok(Tailed::Gap);
            }
            if self.ready.is_empty() {
                self.shared.signals.wait(&mut self.signal, POLL, || false).await;
            }
        }
    }

    fn cursor(&self) -> &Cursor {
        &self.cursor
    }
}
