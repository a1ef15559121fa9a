//! What a member does whenever it is called: it answers rebalances, takes what was read, and looks after its group.

use std::time::Duration;

use futures::{FutureExt as _, future::select_all};
use messaging::{Error, Track};
use rdkafka::{Offset, TopicPartitionList, consumer::Consumer as _, error::KafkaError};
use tokio::time::{Instant, sleep_until, timeout};

use super::{KafkaSubscription, NEWS, state::State};
use crate::{
    message::Received,
    partition::{Kinds, Room, is_marked, number, place},
    reader::{Change, Reader},
};

/// Records that are taken at a time before anything else is looked after.
const BATCH: usize = 1_024;
/// How long a member waits for the brokers to take its partitions back when it leaves.
const LEAVING: Duration = Duration::from_secs(3);
/// A pause while it does.
const MOMENT: Duration = Duration::from_millis(20);

/// What whoever drives the member works with.
#[derive(Default)]
pub(super) struct Driver {
    kinds: Kinds,
    kinds_from: Option<Instant>,
    canary_from: Option<Instant>,
}

impl KafkaSubscription {
    /// Does what is due.
    pub(super) async fn drive(&self, driver: &mut Driver) -> Result<(), Error> {
        if self.state().is_closed {
            self.readers.iter().for_each(Reader::leave);
        } else {
            self.look_after(driver).await?;
        }
        for reader in &self.readers {
            self.rebalance(reader).await?;
            for _ in 0..BATCH {
                let Some(received) = reader.consumer.recv().now_or_never() else { break };
                self.receive(reader, received.map(|message| Received::of(&message)), &driver.kinds);
            }
            self.rebalance(reader).await?;
            self.position(reader);
        }
        let alone = {
            let (mut state, now) = (self.state(), Instant::now());
            state.tick(now);
            state.lanes.next_alone(now)
        };
        if let Some((place, position)) = alone {
            self.try_alone(place, position).await?;
        }
        Ok(())
    }

    /// Finds out which kinds the group is given and, in version 1, whether marked events are ours.
    async fn look_after(&self, driver: &mut Driver) -> Result<(), Error> {
        let now = Instant::now();
        let is_due = |from: Option<Instant>, every| from.is_none_or(|from| from + every <= now);
        if is_due(driver.kinds_from, NEWS) {
            driver.kinds = self.group.kinds().await?;
            driver.kinds_from = Some(now);
        }
        let Some(marked) = self.readers.iter().find(|reader| reader.is_marked && self.track == Track::Stable) else {
            return Ok(());
        };
        if is_due(driver.canary_from, (self.lease / 8).clamp(MOMENT * 5, NEWS / 2)) {
            if self.group.has_canary().await? {
                marked.leave();
            } else {
                marked.join()?;
            }
            driver.canary_from = Some(now);
        }
        Ok(())
    }

    fn receive(&self, reader: &Reader, received: Result<Received, KafkaError>, kinds: &Kinds) {
        match received {
            Ok(received) => {
                let place = place(reader.is_marked, received.partition);
                self.state().receive(place, received, kinds, &self.name);
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(group = reader.group, error, "Kafka cannot be read");
            }
        }
    }

    /// Does what the brokers ask for, as far as nothing is in hand that has to be finished before.
    async fn rebalance(&self, reader: &Reader) -> Result<(), Error> {
        while let Some(change) = reader.change() {
            let done = match change {
                Change::Assign(partitions) => self.take_over(reader, partitions).await?,
                Change::Revoke(partitions) => {
                    if !self.give_up(reader, &partitions).await {
                        return Ok(());
                    }
                    Change::Revoke(partitions)
                }
            };
            reader.done(&done);
        }
        Ok(())
    }

    async fn take_over(&self, reader: &Reader, partitions: TopicPartitionList) -> Result<Change, Error> {
        let assigned = reader.committed(partitions).await?;
        let (mut from, mut state, now) = (TopicPartitionList::new(), self.state(), Instant::now());
        for assigned in assigned {
            let mark = Offset::Offset(assigned.progress.mark().cast_signed());
            from.add_partition_offset(&reader.topic, assigned.partition, mark).map_err(Error::bus)?;
            state.assign(place(reader.is_marked, assigned.partition), assigned.progress, now);
        }
        Ok(Change::Assign(from))
    }

    /// Gives partitions up; says no while something of them is in hand.
    async fn give_up(&self, reader: &Reader, partitions: &TopicPartitionList) -> bool {
        let places: Vec<u16> =
            partitions.elements().iter().map(|element| place(reader.is_marked, element.partition())).collect();
        let is_lost = reader.consumer.assignment_lost();
        let are_free = self.state().give_up(&places, Instant::now());
        if !is_lost && !are_free {
            return false;
        }
        for place in places.iter().filter(|_| !is_lost) {
            if let Err(error) = self.commit(*place).await {
                tracing::debug!(
                    group = reader.group,
                    error = &error as &dyn std::error::Error,
                    "what was given back counts as delivered"
                );
                break;
            }
        }
        self.state().forget(&places, Instant::now());
        true
    }

    /// Reads on where something has to be read again, and not where there is no room.
    fn position(&self, reader: &Reader) {
        let mut state = self.state();
        let places: Vec<u16> =
            state.partitions.keys().copied().filter(|place| is_marked(*place) == reader.is_marked).collect();
        for place in places {
            if let Err(error) = position(&mut state, reader, place) {
                tracing::debug!(group = reader.group, %error, "a partition is positioned with the next call");
            }
        }
    }

    async fn try_alone(&self, place: u16, position: u64) -> Result<(), Error> {
        {
            let mut state = self.state();
            let Ok(partition) = state.partition(place) else { return Ok(()) };
            partition.progress.try_alone(position);
            partition.change();
        }
        let committed = self.commit(place).await;
        let mut state = self.state();
        if committed.is_ok() {
            state.lanes.try_alone(place, position);
        } else if let Ok(partition) = state.partition(place) {
            // Another may be chosen the next time, and then two would be blamed for one death.
            partition.progress.end_alone(position);
            partition.change();
        }
        committed
    }

    /// Commits what has been passed without anybody's work.
    pub(super) async fn flush(&self) {
        let dirty: Vec<u16> = {
            let state = self.state();
            state.partitions.iter().filter(|(_, partition)| partition.is_dirty()).map(|(place, _)| *place).collect()
        };
        for place in dirty {
            if let Err(error) = self.commit(place).await {
                tracing::debug!(
                    group = self.name,
                    error = &error as &dyn std::error::Error,
                    "committed with the next change"
                );
            }
        }
    }

    /// Waits until there is something to do; what was read meanwhile is left to [`Self::drive`].
    pub(super) async fn wait(&self, driver: &Driver) {
        let due = self.state().next_due(Instant::now());
        let reading = self.readers.iter().map(|reader| {
            Box::pin(async move { (reader, reader.consumer.recv().await.map(|message| Received::of(&message))) })
        });
        tokio::select! {
            ((reader, received), ..) = select_all(reading) => self.receive(reader, received, &driver.kinds),
            () = self.wake.notified() => {}
            () = sleep_until(due) => {}
        }
    }

    /// Leaves the group, once nothing is in hand.
    pub(super) async fn leave(&self, driver: &mut Driver) -> Result<(), Error> {
        let left = async {
            loop {
                self.drive(driver).await?;
                if self.state().may_leave() {
                    return Ok(());
                }
                tokio::time::sleep(MOMENT).await;
            }
        };
        timeout(LEAVING, left).await.unwrap_or(Ok(()))
    }
}

fn position(state: &mut State, reader: &Reader, place: u16) -> Result<(), KafkaError> {
    let Some(partition) = state.partitions.get(&place).filter(|partition| !partition.is_leaving) else { return Ok(()) };
    let (next, has_room) = (partition.next().cast_signed(), state.has_room(partition));
    let Ok(partition) = state.partition(place) else { return Ok(()) };
    let mut this = TopicPartitionList::new();
    this.add_partition(&reader.topic, number(place));
    if partition.room != Room::Free && has_room {
        reader.consumer.resume(&this)?;
        (partition.room, partition.must_seek) = (Room::Free, true);
    }
    if partition.room == Room::Full {
        reader.consumer.pause(&this)?;
        partition.room = Room::Paused;
    }
    if partition.must_seek && partition.room == Room::Free {
        // Without waiting: what is on its way from before does not come any more.
        reader.consumer.seek(&reader.topic, number(place), Offset::Offset(next), Duration::ZERO)?;
        partition.must_seek = false;
    }
    Ok(())
}
