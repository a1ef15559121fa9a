//! Reading the partitions of a member, as its driver does it.

use std::{collections::BTreeSet, time::Duration};

use async_nats::{Message, Subject, jetstream::consumer};
use futures::{FutureExt as _, StreamExt as _, future::join_all};
use messaging::{Error, Position, partitioned::Record};
use tokio::time::{Instant, sleep_until, timeout};

use super::{AHEAD, Driver, NatsSubscription, SETTLING, State};
use crate::{
    group::{MAX_ACK_PENDING, Tried},
    message,
    names::{self, SYSTEM},
    pull::{Load, Reading, Status, pin},
    settle::Settlement,
};

/// Why a message is not taken.
pub(super) enum Refusal {
    Unreadable(Subject),
    /// With the partition, where the server has to be told that we are not its reader.
    NotOurs(Subject, Option<u16>),
}

/// What a check found.
#[derive(Debug, PartialEq, Eq)]
enum Check {
    /// Everything that a former reader had has come again or is settled.
    Done,
    /// Not yet, or the server did not say.
    Unknown,
    /// The consumer may be missing.
    Missing,
}

/// Whether the server has forgotten that it delivered some of these: a leader that is killed may not have told the others,
/// and then what stands before them comes again without having been counted.
fn is_behind(info: &consumer::Info, unsettled: &BTreeSet<u64>) -> bool {
    info.num_pending > 0 && unsettled.last().is_some_and(|last| info.delivered.stream_sequence < *last)
}

impl NatsSubscription {
    /// Does what is due; afterwards nothing is until the time that it returns.
    pub(super) async fn upkeep(&self, driver: &mut Driver) -> Result<Instant, Error> {
        let connection = self.group.connection.count();
        if driver.connection != Some(connection) {
            driver.connection = None;
            self.group.ensure().await?;
            let now = Instant::now();
            self.state().partitions.values_mut().for_each(|reading| reading.reconnect(now));
            (driver.connection, driver.next_heartbeat) = (Some(connection), now);
            driver.members_changed = false;
        }
        if driver.members_changed {
            // The server replaces a consumer's configuration as a whole: of two that change it at the same time, one may
            // have undone what the other needs. Whoever has done that is heard of afterwards.
            self.group.ensure().await?;
            driver.members_changed = false;
        }
        if driver.next_heartbeat <= Instant::now() {
            self.heartbeat(driver, false).await?;
            self.renew().await;
            self.compare_overdue();
        }
        let from = *driver.assign_from.get_or_insert_with(|| Instant::now() + (self.lease() / 20).min(SETTLING));
        if from <= Instant::now() {
            self.reassign(driver).await;
        }
        self.pull().await?;
        let checks = self.check(driver).await;
        let state = self.state();
        let pulls = state.partitions.values().map(Reading::due).chain(Some(from).filter(|from| *from > Instant::now()));
        Ok(pulls.chain(checks).chain([driver.next_heartbeat]).min().unwrap_or(driver.next_heartbeat))
    }

    /// Compares partitions anew in which something should have come again by now: an acknowledgement may have counted
    /// whose answer was lost, and then nothing comes.
    fn compare_overdue(&self) {
        let (mut state, now) = (self.state(), Instant::now());
        let State { lease, lanes, partitions, .. } = &mut *state;
        // The server waits half a lease longer than the holder.
        let Some(before) = now.checked_sub(*lease) else { return };
        for partition in lanes.overdue(before) {
            lanes.hold_back(partition, now);
            if let Some(reading) = partitions.get_mut(&partition) {
                reading.check_at = Some(now);
            }
        }
    }

    async fn pull(&self) -> Result<(), Error> {
        let requests = self.requests()?;
        let streams = &self.group.connection.streams;
        for (partition, request, body) in requests {
            let consumer = names::consumer(&self.group.name, partition);
            let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{}.{consumer}", streams.names.events());
            let reply = format!("{}.{partition}.{request}", self.inbox);
            self.group.connection.client.publish_with_reply(subject, reply, body).await.map_err(Error::bus)?;
        }
        Ok(())
    }

    fn requests(&self) -> Result<Vec<(u16, u64, bytes::Bytes)>, Error> {
        let (mut state, now) = (self.state(), Instant::now());
        let State { lease, lanes, partitions, .. } = &mut *state;
        let room = lanes.len() < AHEAD;
        let mut requests = Vec::new();
        for (partition, reading) in partitions {
            let room = room && lanes.of_partition(*partition) < MAX_ACK_PENDING;
            let awaited = if room { 0 } else { lanes.awaited(*partition) };
            let load = Load { ready: lanes.ready(*partition), room, awaited };
            requests.extend(reading.next(&load, *lease, now)?.map(|(request, body)| (*partition, request, body)));
        }
        Ok(requests)
    }

    /// Lets through what is held back of partitions where all that a former reader had in hand has come again or is
    /// settled. Returns when to look again.
    async fn check(&self, driver: &mut Driver) -> Vec<Instant> {
        let now = Instant::now();
        let due: Vec<(u16, BTreeSet<u64>)> = {
            let state = self.state();
            let due = state.partitions.iter().filter(|(_, reading)| reading.check_at.is_some_and(|at| at <= now));
            due.map(|(partition, _)| (*partition, state.lanes.unsettled(*partition))).collect()
        };
        for checked in join_all(due.into_iter().map(|(partition, before)| self.is_clear(partition, before))).await {
            if checked == Check::Missing {
                driver.connection = None;
            }
        }
        let alone = self.state().lanes.next_alone(Instant::now());
        if let Some((partition, position)) = alone {
            let tried = driver.tries(partition, position);
            match self.group.note_tried(partition, &tried).await {
                Ok(()) => self.state().lanes.try_alone(partition, position),
                Err(error) => {
                    tracing::warn!(
                        group = self.group.name,
                        partition,
                        position,
                        error = &error as &dyn std::error::Error,
                        "an event that may kill its consumers waits"
                    );
                }
            }
        }
        let state = self.state();
        let more = state.lanes.next_alone(Instant::now()).map(|_| Instant::now() + state.lease / 20);
        state.partitions.values().filter_map(|reading| reading.check_at).chain(more).collect()
    }

    /// Asks the server whether it waits for anything but what we have, and lets the partition through where it does not.
    async fn is_clear(&self, partition: u16, before: BTreeSet<u64>) -> Check {
        let info = async {
            let streams = self.group.connection.streams.get().await?;
            streams.events.consumer_info(names::consumer(&self.group.name, partition)).await.map_err(Error::bus)
        };
        let info = timeout(self.lease() / 8, info).await;
        let tried = match &info {
            Ok(Ok(info)) => self.culprit(info, &before).await,
            _ => None,
        };
        let mut state = self.state();
        let State { lease, lanes, partitions, .. } = &mut *state;
        let Some(reading) = partitions.get_mut(&partition) else { return Check::Unknown };
        reading.check_at = Some(Instant::now() + (*lease / 20).min(Duration::from_millis(100)));
        let info = match info {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                tracing::warn!(
                    group = self.group.name,
                    partition,
                    error = &error as &dyn std::error::Error,
                    "cannot compare a partition with what its last reader left"
                );
                return Check::Missing;
            }
            Err(_) => return Check::Unknown,
        };
        // What we had before the server counted, and have not settled since: all of that is in its count. Whatever we
        // have been given meanwhile, or have settled, makes the difference larger, never smaller.
        // Whoever is pinned by now holds back what it is given until ours is settled.
        let unsettled = lanes.unsettled(partition);
        if info.num_ack_pending > unsettled.intersection(&before).count() || is_behind(&info, &unsettled) {
            return Check::Unknown;
        }
        reading.check_at = None;
        lanes.let_through(partition, tried, Instant::now());
        Check::Done
    }

    /// What the last reader of a partition was trying alone when it was last heard of, where we have been given that.
    async fn culprit(&self, info: &consumer::Info, given: &BTreeSet<u64>) -> Option<u64> {
        let tried = Tried::of(info).filter(|tried| given.contains(&tried.sequence))?;
        // Where the server does not say, nobody is blamed: it is tried alone once more.
        let streams = self.group.connection.streams.get().await.ok()?;
        tried.is_last(&streams.events).await.is_ok_and(|last| last).then_some(tried.sequence)
    }

    /// Takes one message from the server; returns what to tell it at once.
    fn receive(&self, message: &Message, driver: &mut Driver) -> Option<Refusal> {
        let (mut state, now) = (self.state(), Instant::now());
        let State { lease, lanes, partitions, unpinned, .. } = &mut *state;
        if message.status.is_some() {
            let (partition, request) = self.request_of(&message.subject)?;
            match partitions.get_mut(&partition)?.status(message, request, *lease, now) {
                Status::Fine => {}
                Status::Missing => driver.connection = None,
                Status::Refused(why) => {
                    tracing::error!(group = self.group.name, partition, why, "the server refuses to deliver events");
                }
            }
            return None;
        }
        let reply = message.reply.clone()?;
        let Some((partition, record)) = self.record(message, reply.clone()) else {
            return Some(Refusal::Unreadable(reply));
        };
        let Some(reading) = partitions.get_mut(&partition) else {
            // What we asked for before we gave the partition up; a pin that came with it must not stay with us.
            let pin = pin(message);
            let is_told = pin == unpinned.get(&partition).map(String::as_str);
            unpinned.extend(pin.map(|pin| (partition, pin.to_owned())));
            return Some(Refusal::NotOurs(reply, (!is_told).then_some(partition)));
        };
        if reading.received(message, now) {
            lanes.hold_back(partition, now);
        }
        lanes.push(record, now);
        None
    }

    /// The partition and the number of the request that an answer is to.
    fn request_of(&self, subject: &str) -> Option<(u16, u64)> {
        let (partition, request) = subject.strip_prefix(&self.inbox)?.strip_prefix('.')?.split_once('.')?;
        Some((partition.parse().ok()?, request.parse().ok()?))
    }

    fn record(&self, message: &Message, handle: Subject) -> Option<(u16, Record<Subject>)> {
        let names = self.group.connection.names();
        let partition = names.partition(&message.subject)?;
        let (position, deliveries) = message::delivered(&self.group.connection.streams.context, message)?;
        let headers = message.headers.as_ref();
        match message::event(headers, message.payload.clone()) {
            Ok(event) => {
                let replays = message::replays(headers);
                Some((partition, Record { partition, position, deliveries, replays, event, handle }))
            }
            Err(error) => {
                let position = Position { partition: partition.into(), offset: position };
                messaging::unreadable(SYSTEM, position, &error);
                None
            }
        }
    }

    /// Takes what has come; returns once something came, if only a heartbeat.
    pub(super) async fn take_in(&self, driver: &mut Driver, until: Instant) {
        let first = tokio::select! {
            message = driver.messages.next() => message,
            heartbeat = driver.heartbeats.next() => return driver.hear(heartbeat),
            () = self.wake.notified() => None,
            () = sleep_until(until) => None,
        };
        self.take(first, driver).await;
    }

    /// Takes a message and all that have come behind it.
    pub(super) async fn take(&self, first: Option<Message>, driver: &mut Driver) {
        if let Some(message) = first {
            let refusal = self.receive(&message, driver);
            driver.refused.extend(refusal);
        }
        while let Some(Some(message)) = driver.messages.next().now_or_never() {
            let refusal = self.receive(&message, driver);
            driver.refused.extend(refusal);
        }
        self.refuse(driver).await;
    }

    /// Gives back what is not taken. It stays with the driver until then: whoever drives may be dropped in between.
    pub(super) async fn refuse(&self, driver: &mut Driver) {
        let partitions = driver.refused.iter().filter_map(|refusal| match refusal {
            Refusal::NotOurs(_, partition) => *partition,
            Refusal::Unreadable(_) => None,
        });
        // Before they are given back: they must not come to us again.
        join_all(partitions.map(|partition| self.unpin(partition))).await;
        while let Some(refusal) = driver.refused.last() {
            let (settlement, reply) = match refusal {
                Refusal::Unreadable(reply) => (Settlement::Term, reply),
                Refusal::NotOurs(reply, _) => (Settlement::Nak(Duration::ZERO), reply),
            };
            settlement.sent(&self.group.connection, reply.clone()).await;
            driver.refused.pop();
        }
    }
}
