//! How many connections a server has room for, and who goes when it is full.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use crate::activity::Activity;

/// How often one who waits for a place looks for a connection that has become idle.
const LOOK: Duration = Duration::from_millis(50);
/// Trouble that lasts so long is shown; after so long without any it has passed.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// The connections of one server, and whether new ones can be had.
#[derive(Debug)]
pub(crate) struct House {
    server: &'static str,
    most: usize,
    guests: Mutex<Guests>,
    left: Notify,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Debug, Default)]
struct Guests {
    open: HashMap<u64, Arc<Activity>>,
    admitted: u64,
}

/// Why nobody can come in, since when, and when that was seen last.
#[derive(Debug)]
struct Trouble {
    why: String,
    since: Instant,
    seen: Instant,
    told: bool,
}

impl House {
    /// An empty house of the server with this name.
    pub(crate) fn new(server: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self { server, most, guests: Mutex::default(), left: Notify::new(), trouble: Mutex::default() })
    }

    /// Waits for a place. Where all are taken, the connection that has been idle for longest gives up its own.
    pub(crate) async fn admit(self: &Arc<Self>, activity: &Arc<Activity>) -> Guest {
        loop {
            if let Some(guest) = self.enter(activity) {
                return guest;
            }
            if !self.evict() {
                self.note(format!("all of {} connections are at work", self.most));
            }
            let _ = timeout(LOOK, self.left.notified()).await;
        }
    }

    /// Lets the connection that has been idle for longest end. Says whether there is one.
    pub(crate) fn evict(&self) -> bool {
        let guests = self.guests();
        let idle = guests.open.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, activity)| activity.evict()).is_some()
    }

    /// Somebody cannot come in.
    pub(crate) fn note(&self, why: String) {
        let (mut trouble, now) = (self.trouble(), Instant::now());
        let last = trouble.take().filter(|last| last.seen.elapsed() < NOTEWORTHY);
        let (since, told) = last.map_or((now, false), |last| (last.since, last.told));
        let tell = now - since >= NOTEWORTHY;
        if tell && !told {
            tracing::warn!(server = self.server, cause = why, "no connection can be accepted");
        }
        *trouble = Some(Trouble { why, since, seen: now, told: told || tell });
    }

    /// Says why new connections have not been accepted for a while.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &*self.trouble() {
            Some(trouble) if trouble.told && trouble.seen.elapsed() < NOTEWORTHY => Err(trouble.why.clone()),
            _ => Ok(()),
        }
    }

    fn enter(self: &Arc<Self>, activity: &Arc<Activity>) -> Option<Guest> {
        let mut guests = self.guests();
        let id = guests.admitted;
        (guests.open.len() < self.most).then(|| {
            guests.admitted += 1;
            guests.open.insert(id, Arc::clone(activity));
            Guest { house: Arc::clone(self), id }
        })
    }

    fn guests(&self) -> MutexGuard<'_, Guests> {
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Guest {
    house: Arc<House>,
    id: u64,
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.house.guests().open.remove(&self.id);
        self.house.left.notify_one();
    }
}
