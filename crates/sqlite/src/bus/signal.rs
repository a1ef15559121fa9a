//! Wakes those who wait for events: at once inside the process, and within a few milliseconds across processes.
//!
//! SQLite cannot tell another process that something was written, but `PRAGMA data_version` says so for the price of
//! a read of shared memory. Whoever waits asks every [`TICK`], and of several only one at a time does.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

/// How often a waiting process asks whether others wrote.
const TICK: Duration = Duration::from_millis(10);

/// The wake-ups of one bus handle.
#[derive(Debug)]
pub(super) struct Signals {
    groups: Mutex<HashMap<i64, watch::Sender<u64>>>,
    /// `None` for a database in memory, which has no other writers.
    watcher: Option<tokio::sync::Mutex<Watcher>>,
    pool: crate::Pool,
}

#[derive(Debug)]
struct Watcher {
    connection: Option<crate::Connection>,
    version: Option<i64>,
    polled: Instant,
}

impl Signals {
    pub(super) fn new(pool: crate::Pool, shared: bool) -> Self {
        let watcher = Watcher { connection: None, version: None, polled: Instant::now() };
        Self { groups: Mutex::default(), watcher: shared.then(|| tokio::sync::Mutex::new(watcher)), pool }
    }

    /// What changes whenever the group may have something to do.
    pub(super) fn subscribe(&self, group: i64) -> watch::Receiver<u64> {
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.entry(group).or_insert_with(|| watch::Sender::new(0)).subscribe()
    }

    /// Wakes one group.
    pub(super) fn wake(&self, group: i64) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = groups.get(&group) {
            sender.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// Wakes every group of this handle.
    pub(super) fn wake_all(&self) {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        for sender in groups.values() {
            sender.send_modify(|version| *version = version.wrapping_add(1));
        }
    }

    /// Waits for a signal, for something that comes by itself, or until the limit.
    pub(super) async fn wait(&self, signal: &mut watch::Receiver<u64>, limit: Duration, is_due: impl Fn() -> bool) {
        let started = Instant::now();
        while started.elapsed() < limit {
            tokio::select! {
                biased;
                _ = signal.changed() => return,
                () = sleep(TICK) => self.poll().await,
            }
            if is_due() {
                return;
            }
        }
    }

    /// Gives the watching connection back.
    pub(super) async fn close(&self) {
        if let Some(watcher) = &self.watcher {
            watcher.lock().await.connection = None;
        }
    }

    /// Asks whether another process has written since the last time, and wakes everybody if so.
    async fn poll(&self) {
        let Some(watcher) = &self.watcher else { return };
        // Somebody else is asking: they wake us too.
        let Ok(mut watcher) = watcher.try_lock() else { return };
        if watcher.polled.elapsed() < TICK / 2 {
            return;
        }
        watcher.polled = Instant::now();
        // When that cannot be known, everybody reads the tables.
        let version = watcher.read(&self.pool).await.ok();
        if version.is_none() || version != watcher.version {
            watcher.version = version;
            self.wake_all();
        }
    }
}

impl Watcher {
    /// The version counts the writes of others as one connection sees them, so it is always asked on the same one.
    async fn read(&mut self, pool: &crate::Pool) -> Result<i64, sqlx::Error> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => pool.acquire().await?,
        };
        let version = sqlx::query_scalar("PRAGMA data_version").fetch_one(&mut connection).await?;
        self.connection = Some(connection);
        Ok(version)
    }
}
