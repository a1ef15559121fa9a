//! One member of a group.

mod driving;
mod state;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use messaging::{Delivery, Error, Reason, Subscription, Tag, Track, partitioned::Lanes};
use rdkafka::{Offset, TopicPartitionList};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use self::{driving::Driver, state::State};
use crate::{
    connection::Connection,
    dead_letters,
    group::Group,
    partition::{is_marked, number},
    reader::Reader,
};

/// Tries to commit, where the group is just changing, and the pause between them.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_millis(50);
/// How long members that are there may not know of a new kind.
pub(crate) const NEWS: Duration = Duration::from_secs(1);

/// A member of a group. Whoever calls it does the work: reading, assignments, commits.
pub(crate) struct KafkaSubscription {
    connection: Arc<Connection>,
    name: String,
    group: Arc<Group>,
    track: Track,
    lease: Duration,
    /// Of version 1, of events and of marked ones; of version 2, of marked ones.
    readers: Vec<Reader>,
    state: Mutex<State>,
    driver: tokio::sync::Mutex<Driver>,
    wake: Notify,
}

impl KafkaSubscription {
    /// Joins the group, which has to be there.
    pub(crate) fn join(
        connection: Arc<Connection>,
        group: (String, Arc<Group>),
        track: Track,
        lease: Duration,
    ) -> Result<Self, Error> {
        let (name, group) = group;
        let topics: &[bool] = if track == Track::Canary { &[true] } else { &[false, true] };
        let reader = |is_marked: &bool| Reader::new(&connection, &name, *is_marked, track, lease);
        let readers = topics.iter().map(reader).collect::<Result<Vec<_>, _>>()?;
        readers.iter().take(1).try_for_each(Reader::join)?;
        Ok(Self {
            connection,
            name,
            group,
            track,
            lease,
            readers,
            state: Mutex::new(State::new(lease)),
            driver: tokio::sync::Mutex::default(),
            wake: Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Commits the progress of a partition, with that of others that have changed.
    async fn commit(&self, place: u16) -> Result<(), Error> {
        let change = self.state().partition(place)?.changes();
        let reader = self.readers.iter().find(|reader| reader.is_marked == is_marked(place)).ok_or(Error::Lost)?;
        let mut tries = 0;
        loop {
            tries += 1;
            match self.commit_once(reader, place, change).await {
                Err(Error::Unavailable { .. }) if tries < TRIES => sleep(PAUSE).await,
                result => return result,
            }
        }
    }

    async fn commit_once(&self, reader: &Reader, place: u16, change: u64) -> Result<(), Error> {
        let turn = reader.turn().await;
        let (offsets, changes) = {
            let mut state = self.state();
            if state.partition(place)?.is_committed(change) {
                return Ok(());
            }
            snapshot(&state, reader)?
        };
        let _turn = reader.commit(offsets, turn).await?;
        let mut state = self.state();
        for (place, change) in changes {
            if let Ok(partition) = state.partition(place) {
                partition.commit(change);
            }
        }
        Ok(())
    }

    /// Commits that a delivery is settled. What cannot be committed stays in the same hands.
    async fn conclude(&self, tag: Tag, place: u16, end: impl FnOnce(&mut State) + Send) -> Result<(), Error> {
        let committed = self.commit(place).await;
        {
            let mut state = self.state();
            match committed {
                Ok(()) => {
                    end(&mut state);
                    state.drop_hand(tag);
                }
                Err(Error::Lost) => {
                    state.lanes.remove(tag);
                    state.drop_hand(tag);
                }
                Err(_) => state.lanes.unsettle(tag),
            }
        }
        self.nudge().await;
        committed
    }

    /// Takes a delivery back, untried.
    async fn give_back(&self, tag: Tag, how: fn(&mut Lanes<()>, Tag)) -> Result<(), Error> {
        {
            let mut state = self.state();
            let place = state.held(tag)?.partition;
            how(&mut state.lanes, tag);
            state.drop_hand(tag);
            if let Ok(partition) = state.partition(place) {
                partition.progress.end_alone(tag.position.cast_unsigned());
            }
        }
        self.nudge().await;
        Ok(())
    }

    /// Does what is due, where nobody else does.
    async fn nudge(&self) {
        self.wake.notify_one();
        let Ok(mut driver) = self.driver.try_lock() else { return };
        if let Err(error) = self.drive(&mut driver).await {
            tracing::debug!(
                group = self.name,
                error = &error as &dyn std::error::Error,
                "it is tried again with the next call"
            );
        }
    }
}

/// What of a reader's partitions has changed, to be committed, and which changes these are.
fn snapshot(state: &State, reader: &Reader) -> Result<(TopicPartitionList, Vec<(u16, u64)>), Error> {
    let (mut offsets, mut changes) = (TopicPartitionList::new(), Vec::new());
    let of_reader = state.partitions.iter().filter(|(place, _)| is_marked(**place) == reader.is_marked);
    for (place, partition) in of_reader.filter(|(_, partition)| partition.is_dirty()) {
        let (number, mark) = (number(*place), partition.progress.mark().cast_signed());
        offsets.add_partition_offset(&reader.topic, number, Offset::Offset(mark)).map_err(Error::bus)?;
        if let Some(mut element) = offsets.find_partition(&reader.topic, number) {
            element.set_metadata(partition.progress.metadata());
        }
        changes.push((*place, partition.changes()));
    }
    Ok((offsets, changes))
}

/// Deliveries that nobody has yet: dropped, they are given back.
struct Taken<'a> {
    member: &'a KafkaSubscription,
    deliveries: Vec<Delivery>,
    /// The partitions of which the broker has to know before.
    unknown: BTreeSet<u16>,
}

impl<'a> Taken<'a> {
    fn new(member: &'a KafkaSubscription, max: usize) -> Self {
        let (deliveries, unknown) = member.state().take(max, Instant::now());
        Self { member, deliveries, unknown }
    }

    /// Lets the broker know that they are in hand.
    async fn hand_out(mut self) -> Result<Vec<Delivery>, Error> {
        for place in &self.unknown {
            self.member.commit(*place).await?;
        }
        Ok(std::mem::take(&mut self.deliveries))
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.member.state();
        for delivery in &self.deliveries {
            state.lanes.release(delivery.tag);
            state.drop_hand(delivery.tag);
        }
    }
}

#[async_trait]
impl Subscription for KafkaSubscription {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let mut driver = self.driver.lock().await;
        loop {
            if self.state().is_closed {
                self.leave(&mut driver).await?;
                return Ok(Vec::new());
            }
            self.drive(&mut driver).await?;
            let taken = Taken::new(self, max);
            if taken.deliveries.is_empty() {
                drop(taken);
                self.flush().await;
                self.wait(&driver).await;
                continue;
            }
            match taken.hand_out().await {
                // The brokers have just given the partitions to somebody else, and say so next.
                Err(Error::Lost) => {}
                result => return result,
            }
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let tag = delivery.tag;
        let place = {
            let mut state = self.state();
            let place = state.held(tag)?.partition;
            let partition = state.partition(place)?;
            partition.progress.settle(tag.position.cast_unsigned());
            partition.change();
            state.lanes.settle(tag);
            place
        };
        self.conclude(tag, place, |state| state.lanes.remove(tag)).await
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        let (tag, until) = (delivery.tag, Instant::now() + after);
        let mut record = self.state().held(tag)?;
        {
            let mut state = self.state();
            let partition = state.partition(record.partition)?;
            partition.progress.count(record.position);
            partition.change();
            state.lanes.settle(tag);
        }
        let place = record.partition;
        record.deliveries += 1;
        let end = |state: &mut State| {
            state.lanes.wait(tag);
            if state.partition(place).is_ok_and(|partition| !partition.is_leaving) {
                state.delay(tag, record, until);
            }
        };
        self.conclude(tag, place, end).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.give_back(delivery.tag, Lanes::release).await
    }

    async fn isolate(&self, delivery: &Delivery) -> Result<(), Error> {
        self.give_back(delivery.tag, Lanes::isolate).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        let (tag, from) = (delivery.tag, Instant::now());
        let place = {
            let mut state = self.state();
            let place = state.held(tag)?.partition;
            // To be committed: the brokers refuse it where we are no member any more.
            state.partition(place)?.change();
            place
        };
        self.commit(place).await?;
        self.state().extend(tag, from)?;
        // While all handlers are busy nobody fetches.
        self.nudge().await;
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let record = self.state().held(delivery.tag)?;
        let counts = (delivery.attempt, record.replays);
        dead_letters::store(&self.connection, &self.name, &delivery.event, counts, &reason).await?;
        self.ack(delivery).await
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn close(&self) {
        self.state().is_closed = true;
        self.wake.notify_one();
        // A `fetch` that is under way leaves by itself.
        let Ok(mut driver) = self.driver.try_lock() else { return };
        if let Err(error) = self.leave(&mut driver).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "others take over when our session ends");
        }
    }
}
