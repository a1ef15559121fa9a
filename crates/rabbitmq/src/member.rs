//! One member of a group. Each of its partitions is lived by a task of its own, and so is its attendance; they end with it.

mod attendance;
mod letters;
mod life;
mod reader;
mod state;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use messaging::{Delivery, Error, Reason, Subscription, Tag, Track};
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use self::state::{Outcome, State};
use crate::{dead_letters, group::Group};

/// How long whoever closes a member waits for its partitions to be given up.
const LEAVING: Duration = Duration::from_secs(1);

/// A member of a group.
pub(crate) struct Member {
    shared: Arc<Shared>,
    _stop: DropGuard,
}

/// What a member's tasks and callers share.
struct Shared {
    group: Group,
    /// What the member handles.
    kinds: BTreeSet<String>,
    track: Track,
    lease: Duration,
    state: Mutex<State>,
    /// Somebody who fetches may find something.
    fetchers: Notify,
    /// Something has changed for a partition, by partition.
    changes: Vec<Notify>,
    /// Something has changed for the member as a whole.
    attendance: Notify,
    /// A partition was given up for good.
    ended: Notify,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, partition: u16) {
        if let Some(change) = self.changes.get(usize::from(partition)) {
            change.notify_one();
        }
    }

    fn all_changed(&self) {
        self.changes.iter().for_each(Notify::notify_one);
        self.attendance.notify_one();
    }

    /// Whether the member stands in line for a partition.
    fn wants(&self, partition: u16) -> bool {
        let (state, marked) = (self.state(), partition == self.group.partitions);
        match self.track {
            Track::Stable => state.is_there(self.lease) && (!marked || state.canaries == Some(0)),
            Track::Canary => state.is_there(self.lease) && marked,
        }
    }

    /// Has whoever fetches next hear of a failure.
    fn failed(&self, error: Error) {
        tracing::debug!(group = self.group.name, error = &error as &dyn std::error::Error, "a member is cut off");
        self.state().failure = Some(error);
        self.fetchers.notify_waiters();
    }
}

/// Somebody who calls, for as long as this lives.
struct Call<'a>(&'a Shared);

impl<'a> Call<'a> {
    fn new(shared: &'a Shared) -> Self {
        let mut state = shared.state();
        let was_there = state.is_there(shared.lease);
        state.callers += 1;
        drop(state);
        if !was_there {
            shared.all_changed();
        }
        Self(shared)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.callers -= 1;
        state.called = Instant::now();
    }
}

impl Member {
    /// Joins a group and tells its readers which kinds it is given.
    pub(crate) async fn join(
        group: Group,
        track: Track,
        kinds: &BTreeSet<String>,
        lease: Duration,
    ) -> Result<Self, Error> {
        group.ensure().await?;
        let partitions = group.partitions;
        let shared = Arc::new(Shared {
            group,
            kinds: kinds.clone(),
            track,
            lease,
            state: Mutex::new(State::new(lease, usize::from(partitions) + 1)),
            fetchers: Notify::new(),
            changes: (0..=partitions).map(|_| Notify::new()).collect(),
            attendance: Notify::new(),
            ended: Notify::new(),
        });
        let (stop, tracker) = (CancellationToken::new(), TaskTracker::new());
        for partition in 0..=partitions {
            let life = life::live(Arc::clone(&shared), partition);
            drop(tracker.spawn(stop.clone().run_until_cancelled_owned(life)));
        }
        drop(tracker.spawn(stop.clone().run_until_cancelled_owned(attendance::attend(Arc::clone(&shared)))));
        drop(tracker.spawn(stop.clone().run_until_cancelled_owned(attendance::keep_time(Arc::clone(&shared)))));
        let (link, stopped) = (Arc::clone(&shared.group.link), stop.clone());
        drop(tracker.spawn(async move {
            // The next in line waits for what we have until the server knows that we are gone.
            stopped.cancelled().await;
            link.close().await;
        }));
        let member = Self { shared, _stop: stop.drop_guard() };
        member.shared.group.tell(kinds).await?;
        Ok(member)
    }

    /// Settles a delivery; returns when that is stored.
    async fn settle(&self, tag: Tag, outcome: Outcome) -> Result<(), Error> {
        let _call = Call::new(&self.shared);
        let (partition, settled) = self.shared.state().settle(tag, outcome)?;
        self.shared.changed(partition);
        settled.await.map_err(|_| Error::bus("the partition was lost before this was stored"))
    }

    /// Takes a delivery back, as if it had not been handed out.
    fn give_back(&self, tag: Tag, how: fn(&mut State, Tag)) -> Result<(), Error> {
        let _call = Call::new(&self.shared);
        self.shared.state().take_back(tag, how)?;
        self.shared.all_changed();
        self.shared.fetchers.notify_waiters();
        Ok(())
    }
}

#[async_trait]
impl Subscription for Member {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let _call = Call::new(&self.shared);
        loop {
            let news = self.shared.fetchers.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            {
                let mut state = self.shared.state();
                if state.closed {
                    return Ok(Vec::new());
                }
                let deliveries = state.take(max);
                if !deliveries.is_empty() {
                    return Ok(deliveries);
                }
                if let Some(error) = state.failure.take() {
                    return Err(error);
                }
            }
            news.await;
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(delivery.tag, Outcome::Done).await
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.settle(delivery.tag, Outcome::Again(Instant::now() + after)).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.give_back(delivery.tag, |state, tag| state.lanes.release(tag))
    }

    async fn isolate(&self, delivery: &Delivery) -> Result<(), Error> {
        self.give_back(delivery.tag, |state, tag| state.lanes.isolate(tag))
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        let _call = Call::new(&self.shared);
        let mut state = self.shared.state();
        state.held(delivery.tag)?;
        state.lanes.extend(delivery.tag, Instant::now());
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let replays = self.shared.state().held(delivery.tag)?.replays;
        let counts = (delivery.attempt, replays);
        dead_letters::store(&self.shared.group, &delivery.event, counts, &reason).await?;
        self.ack(delivery).await
    }

    fn lease(&self) -> Duration {
        self.shared.lease
    }

    async fn close(&self) {
        self.shared.state().closed = true;
        self.shared.all_changed();
        self.shared.fetchers.notify_waiters();
        let left = async {
            loop {
                let ended = self.shared.ended.notified();
                // What is in hand is settled afterwards.
                if self.shared.state().is_left() {
                    return;
                }
                ended.await;
            }
        };
        if timeout(LEAVING, left).await.is_err() {
            tracing::debug!(group = self.shared.group.name, "partitions are given up with the connection");
        }
    }
}
