//! What happens to orders, told while it happens: read from the bus once a process, and fanned out to all who watch.
//!
//! The last events are kept, so that a watcher who lost its connection resumes here what it began at another process.
//! Nothing of a watcher is stored anywhere: what it has seen is in the cursor that it keeps itself.

mod feed;
mod metrics;
mod watch;
mod watchers;
mod window;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use messaging::{Cursor, Position};
use tokio::{
    sync::{mpsc, watch as progress},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

pub use self::{
    feed::{Feed, Translate},
    watch::{End, Permit, Watch, Watched},
    watchers::Limits,
};
use self::{
    metrics::Metrics,
    watch::Joined,
    watchers::{Queued, Watchers},
    window::{Since, Window},
};
use super::{Error, ports::Owner};
use crate::domain::ids::UserId;

/// Messages that wait for one watcher; one that is further behind is let go, and resumes.
const QUEUE: usize = 256;
/// How long a watcher waits that has seen, at another process, what has not come here yet.
const CATCH_UP: Duration = Duration::from_secs(2);

/// An event of an order.
#[derive(Clone, Debug)]
pub struct LiveEvent {
    /// Whose order it is.
    pub user: UserId,
    /// Where it stands in the log.
    pub position: Position,
    /// As those who watch are sent it.
    pub payload: Bytes,
}

/// What happens to orders. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Live(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    limits: Limits,
    /// Changes with each event.
    read: progress::Sender<()>,
    stop: CancellationToken,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct State {
    /// `None` until the bus has been reached.
    window: Option<Window>,
    watchers: Watchers,
}

impl Live {
    /// Nothing yet, until a [`Feed`] reads the bus; all who watch are let go when `stop` is cancelled.
    pub fn new(limits: Limits, stop: CancellationToken) -> Self {
        let (read, _) = progress::channel(());
        Self(Arc::new(Shared { state: Mutex::default(), limits, read, stop, metrics: Metrics::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From here on everything comes; who has watched before has missed something.
    fn begin(&self, cursor: &Cursor) {
        let mut state = self.state();
        state.window = Some(Window::new(cursor.clone()));
        let dropped = state.watchers.reset(cursor);
        drop(state);
        self.0.metrics.too_slow(dropped);
        self.0.read.send_replace(());
    }

    /// Tells an event to all whom it concerns.
    fn publish(&self, event: LiveEvent, cursor: &Cursor) {
        let mut state = self.state();
        let dropped = state.watchers.send(event.user, &event.payload);
        if let Some(window) = &mut state.window {
            window.push(event, cursor.clone());
        }
        drop(state);
        self.0.metrics.too_slow(dropped);
        self.0.read.send_replace(());
    }

    /// Leave for an account to watch.
    ///
    /// # Errors
    /// Too many watch.
    pub(super) fn admit(&self, account: UserId) -> Result<Arc<Permit>, Error> {
        if self.0.stop.is_cancelled() {
            return Err(Error::StreamsUnavailable);
        }
        self.state().watchers.admit(account, self.0.limits).inspect_err(|error| self.0.metrics.refused(error))?;
        self.0.metrics.opened();
        Ok(Arc::new(Permit::new(self.clone(), account)))
    }

    /// Watches the orders of `owner` until the time is over, from now on or after a cursor.
    ///
    /// # Errors
    /// The bus has not been reached yet.
    pub(super) async fn watch(
        &self,
        permit: Arc<Permit>,
        owner: Owner,
        after: Option<Cursor>,
        time: Duration,
    ) -> Result<Watch, Error> {
        let (begin, mut read) = (Instant::now(), self.0.read.subscribe());
        loop {
            read.mark_unchanged();
            let may_catch_up = begin.elapsed() < CATCH_UP;
            if let Some(watch) = self.join(&permit, owner, after.as_ref(), may_catch_up, begin + time)? {
                return Ok(watch);
            }
            // It is looked at once more when the time is over.
            let _ = timeout_at(begin + CATCH_UP, read.changed()).await;
        }
    }

    /// Lets a watcher in; `None` where what it has seen may still come. What it has missed and what comes from now on fit
    /// together, because both are taken under one lock.
    fn join(
        &self,
        permit: &Arc<Permit>,
        owner: Owner,
        after: Option<&Cursor>,
        may_catch_up: bool,
        ends: Instant,
    ) -> Result<Option<Watch>, Error> {
        let mut state = self.state();
        let State { window, watchers } = &mut *state;
        let window = window.as_ref().ok_or(Error::StreamsUnavailable)?;
        let since = after.map(|cursor| window.since(cursor, owner));
        let (first, missed) = match since {
            Some(Since::Ahead) if may_catch_up => return Ok(None),
            Some(Since::Known(missed)) => (after.cloned().map(Watched::Ready), missed),
            Some(Since::Ahead | Since::Lost) => (Some(Watched::Reset(window.read().clone())), Vec::new()),
            None => (Some(Watched::Ready(window.read().clone())), Vec::new()),
        };
        let (sender, queue) = mpsc::channel(QUEUE);
        let joined = Joined::new(Arc::clone(permit), owner, watchers.join(owner, sender));
        drop(state);
        if after.is_some() {
            self.0.metrics.resumed(matches!(first, Some(Watched::Ready(_))));
        }
        Ok(Some(Watch::new(joined, queue, first, missed, ends)))
    }

    /// Up to where a watcher has been told everything, if nothing waits for it.
    fn checkpoint(&self, queue: &mpsc::Receiver<Queued>) -> Option<Cursor> {
        // Under the lock: nothing comes meanwhile.
        let state = self.state();
        let window = state.window.as_ref().filter(|_| queue.is_empty())?;
        Some(window.read().clone())
    }
}
