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

/// How often one who waits for a permit looks for a connection that has become idle.
const LOOK: Duration = Duration::from_millis(50);
/// A saturation that lasts so long is reported; after so long without a refusal it is over.
const NOTEWORTHY: Duration = Duration::from_secs(1);

/// The connections of one server, and whether new ones can be had.
#[derive(Debug)]
pub(crate) struct Admission {
    server: &'static str,
    most: usize,
    open: Mutex<Open>,
    released: Notify,
    saturation: Mutex<Option<Saturation>>,
}

#[derive(Debug, Default)]
struct Open {
    connections: HashMap<u64, Arc<Activity>>,
    admitted: u64,
}

/// Why no connection can be accepted, since when, and when that was seen last.
#[derive(Debug)]
struct Saturation {
    cause: String,
    since: Instant,
    seen: Instant,
    reported: bool,
}

impl Admission {
    /// Of the server with this name, which has no connection yet.
    pub(crate) fn new(server: &'static str, most: usize) -> Arc<Self> {
        Arc::new(Self { server, most, open: Mutex::default(), released: Notify::new(), saturation: Mutex::default() })
    }

    /// Waits for a permit. Where all are taken, the connection that has been idle for longest gives up its own.
    pub(crate) async fn admit(self: &Arc<Self>, activity: &Arc<Activity>) -> Permit {
        loop {
            if let Some(permit) = self.try_admit(activity) {
                return permit;
            }
            if !self.evict_idle() {
                self.refuse(format!("all of {} connections are at work", self.most));
            }
            let _ = timeout(LOOK, self.released.notified()).await;
        }
    }

    /// Closes the connection that has been idle for longest. Says whether there is one.
    pub(crate) fn evict_idle(&self) -> bool {
        let open = self.open();
        let idle = open.connections.values().filter_map(|activity| Some((activity.idle_since()?, activity)));
        let longest = idle.min_by_key(|(since, _)| *since);
        longest.inspect(|(_, activity)| activity.evict()).is_some()
    }

    /// A connection cannot be accepted.
    pub(crate) fn refuse(&self, cause: String) {
        let (mut saturation, now) = (self.saturation(), Instant::now());
        let last = saturation.take().filter(|last| last.seen.elapsed() < NOTEWORTHY);
        let (since, reported) = last.map_or((now, false), |last| (last.since, last.reported));
        let report = now - since >= NOTEWORTHY;
        if report && !reported {
            tracing::warn!(server = self.server, cause, "no connection can be accepted");
        }
        *saturation = Some(Saturation { cause, since, seen: now, reported: reported || report });
    }

    /// Says why new connections have not been accepted for a while.
    pub(crate) fn check(&self) -> Result<(), String> {
        match &*self.saturation() {
            Some(saturation) if saturation.reported && saturation.seen.elapsed() < NOTEWORTHY => {
                Err(saturation.cause.clone())
            }
            _ => Ok(()),
        }
    }

    fn try_admit(self: &Arc<Self>, activity: &Arc<Activity>) -> Option<Permit> {
        let mut open = self.open();
        let id = open.admitted;
        (open.connections.len() < self.most).then(|| {
            open.admitted += 1;
            open.connections.insert(id, Arc::clone(activity));
            Permit { admission: Arc::clone(self), id }
        })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn saturation(&self) -> MutexGuard<'_, Option<Saturation>> {
        self.saturation.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to be connected, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    admission: Arc<Admission>,
    id: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.admission.open().connections.remove(&self.id);
        self.admission.released.notify_one();
    }
}
