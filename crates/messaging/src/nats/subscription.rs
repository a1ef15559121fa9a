//! One member of a group.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    Subscriber,
    jetstream::{Message, kv::UpdateErrorKind},
};
use async_trait::async_trait;
use futures::{StreamExt as _, future::try_join_all};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{
    bus::{Shared, Streams},
    deaths,
    entry::{Entry, REPLAY},
    lanes::{Lanes, Waiting},
    members::{List, Members},
    message,
    names::{PARTS, part_key},
    part::Part,
    reader::{Extent, Reader},
};
use crate::{Delivery, Error, Reason, Subscription, Tag};

/// Events that a member reads ahead. Where so many wait behind events that fail, the rest waits in the log.
const AHEAD: usize = 8_192;
/// Tries to write an entry that only we should write.
const TRIES: u32 = 3;

/// A member of a group. Whoever calls `fetch` does the work: reading, signs of life, sharing parts with others.
pub(super) struct NatsSubscription {
    shared: Arc<Shared>,
    group: String,
    kinds: Vec<String>,
    lease: Duration,
    id: String,
    inner: Mutex<Inner>,
    driver: tokio::sync::Mutex<Driver>,
    members: tokio::sync::Mutex<Members>,
    /// Writes of one part follow each other, and one writes what several have changed.
    writers: Vec<tokio::sync::Mutex<()>>,
    wake: Notify,
}

struct Inner {
    lanes: Lanes,
    parts: BTreeMap<u16, Part>,
    closed: bool,
    /// Counts the parts that were taken: who takes one anew begins anew to read.
    taken: u64,
    /// When the last sign of life began that has arrived: nobody takes our parts for a lease from then on.
    alive: Option<Instant>,
}

struct Driver {
    reader: Option<Reader>,
    signal: Subscriber,
    next: Instant,
    joined: bool,
}

impl NatsSubscription {
    pub(super) async fn new(
        shared: Arc<Shared>,
        streams: &Streams,
        group: &str,
        kinds: Vec<String>,
        lease: Duration,
    ) -> Result<Self, Error> {
        let id = Uuid::now_v7().to_string();
        let signal = shared.client.subscribe(shared.names.signal(group)).await.map_err(Error::bus)?;
        let members = Members::new(streams.groups.clone(), group, &id, &kinds, lease);
        let inner = Inner { lanes: Lanes::default(), parts: BTreeMap::new(), closed: false, taken: 0, alive: None };
        let driver = Driver { reader: None, signal, next: Instant::now(), joined: false };
        Ok(Self {
            shared,
            group: group.to_owned(),
            kinds,
            lease,
            id,
            inner: Mutex::new(inner),
            driver: tokio::sync::Mutex::new(driver),
            members: tokio::sync::Mutex::new(members),
            writers: (0..PARTS).map(|_| tokio::sync::Mutex::default()).collect(),
            wake: Notify::new(),
        })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives a sign of life, leaves what others should have, takes what is ours, reads that.
    async fn refresh(&self, driver: &mut Driver) -> Result<(), Error> {
        let list = self.beat(false).await?;
        driver.next = Instant::now() + self.lease / 3;
        if !driver.joined {
            driver.joined = true;
            self.shared.signal(&self.group).await;
        }
        let share = list.share(&self.id);
        let (leaving, missing) = self.inner().compare(&share);
        for part in leaving {
            self.leave_if_idle(part).await?;
        }
        if !missing.is_empty() {
            let state = self.shared.streams().await?.events.get_info().await.map_err(Error::bus)?.state;
            let ends = (state.first_sequence, state.last_sequence);
            try_join_all(missing.into_iter().map(|part| self.take(part, &list, ends))).await?;
        }
        self.read_on(driver).await
    }

    /// Says that we live. After a pause in which others may have taken us for dead, looks at what is still ours.
    async fn beat(&self, leaving: bool) -> Result<List, Error> {
        let began = Instant::now();
        let list = self.members.lock().await.beat(leaving).await?;
        if self.inner().alive.is_some_and(|alive| alive.elapsed() >= self.lease) {
            let parts: Vec<u16> = self.inner().parts.keys().copied().collect();
            try_join_all(parts.into_iter().map(|part| self.check(part))).await?;
        }
        self.inner().alive = Some(began);
        Ok(list)
    }

    async fn entry(&self, part: u16) -> Result<(Entry, u64), Error> {
        let groups = &self.shared.streams().await?.groups;
        let found = groups.entry(part_key(&self.group, part)).await.map_err(Error::bus)?;
        let found = found.ok_or_else(|| Error::bus("a part of the group is missing in the bucket"))?;
        Ok((Entry::from_bytes(&found.value)?, found.revision))
    }

    /// Forgets a part that is somebody else's by now.
    async fn check(&self, part: u16) -> Result<(), Error> {
        let (entry, _) = self.entry(part).await?;
        if entry.owner != self.id {
            self.inner().forget(part);
        }
        Ok(())
    }

    /// Takes a part that nobody reads.
    async fn take(&self, part: u16, list: &List, (first, end): (u64, u64)) -> Result<(), Error> {
        let (mut entry, revision) = self.entry(part).await?;
        let died = !entry.owner.is_empty() && entry.owner != self.id;
        if died && list.has(&entry.owner) {
            return Ok(());
        }
        entry.open.retain(|place, _| *place >= first);
        let taken = Entry { owner: self.id.clone(), ..entry.clone() }.to_bytes()?;
        let groups = &self.shared.streams().await?.groups;
        match groups.update(part_key(&self.group, part), taken, revision).await {
            Ok(revision) => {
                let mut inner = self.inner();
                inner.taken += 1;
                inner.parts.insert(part, Part::taken(entry, revision, died, end));
                Ok(())
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => Ok(()),
            Err(error) => Err(Error::bus(error)),
        }
    }

    /// Opens a reader where there is none for exactly our parts.
    async fn read_on(&self, driver: &mut Driver) -> Result<(), Error> {
        let (parts, taken, start) = self.inner().reading(&self.kinds);
        let extent = Extent { parts, taken, connection: self.shared.connection() };
        if driver.reader.as_ref().is_some_and(|reader| reader.extent == extent) {
            return Ok(());
        }
        driver.reader = None;
        if extent.parts.is_empty() {
            return Ok(());
        }
        let events = &self.shared.streams().await?.events;
        let reader = Reader::open(events, &self.shared.names, &self.group, &self.kinds, extent, start).await?;
        if let Some(end) = reader.passed {
            self.inner().passed(&reader.extent.parts, end);
        }
        driver.reader = Some(reader);
        Ok(())
    }

    /// Puts what was read into its lanes.
    fn accept(&self, messages: Vec<Message>, parts: &BTreeSet<u16>) {
        let mut inner = self.inner();
        for message in messages {
            let Ok(info) = message.info() else { continue };
            let (place, pending) = (info.stream_sequence, info.pending);
            let replays = message::replays(message.headers.as_ref());
            let part = self.shared.names.part(&message.subject);
            match message::event(message.headers.as_ref(), message.payload.clone()) {
                Ok(event) => {
                    let kind = if replays > 0 { REPLAY } else { event.kind.as_str() }.to_owned();
                    inner.accept(part, place, &kind, replays, event);
                }
                Err(error) => {
                    tracing::error!(place, subject = %message.subject, %error, "a message on the bus is no event");
                }
            }
            if pending == 0 {
                inner.passed(parts, place);
            }
        }
    }

    /// Writes down what has changed in a part; of several who want that at once, one does it for all.
    async fn commit(&self, part: u16) -> Result<(), Error> {
        let change = {
            let mut inner = self.inner();
            let part = inner.parts.get_mut(&part).ok_or(Error::Lost)?;
            part.changes += 1;
            part.changes
        };
        let _turn = self.writer(part).lock().await;
        let written = self.inner().parts.get(&part).map(|part| part.written).ok_or(Error::Lost)?;
        if written >= change { Ok(()) } else { self.write(part, &self.id).await }
    }

    fn writer(&self, part: u16) -> &tokio::sync::Mutex<()> {
        &self.writers[usize::from(part)]
    }

    async fn write(&self, number: u16, owner: &str) -> Result<(), Error> {
        for _ in 0..TRIES {
            let (entry, revision, changes) = self.inner().snapshot(number, owner, &self.kinds).ok_or(Error::Lost)?;
            let groups = &self.shared.streams().await?.groups;
            match groups.update(part_key(&self.group, number), entry.to_bytes()?, revision).await {
                Ok(revision) => {
                    if let Some(part) = self.inner().parts.get_mut(&number) {
                        (part.revision, part.written) = (revision, changes);
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                    let (entry, revision) = self.entry(number).await?;
                    if entry.owner != self.id {
                        self.inner().forget(number);
                        return Err(Error::Lost);
                    }
                    // A write of ours arrived whose answer did not.
                    if let Some(part) = self.inner().parts.get_mut(&number) {
                        part.revision = revision;
                    }
                }
                Err(error) => return Err(Error::bus(error)),
            }
        }
        Err(Error::bus("cannot write a part of the group"))
    }

    /// Gives a part away that is to be left and of which nothing is in hand.
    async fn leave_if_idle(&self, part: u16) -> Result<(), Error> {
        let idle = |inner: &Inner| {
            let leaving = inner.parts.get(&part).is_some_and(|part| part.leaving);
            leaving && inner.lanes.in_hand(part, Instant::now()) == 0
        };
        if !idle(&self.inner()) {
            return Ok(());
        }
        let _turn = self.writer(part).lock().await;
        if idle(&self.inner()) {
            self.write(part, "").await?;
            self.inner().forget(part);
            self.shared.signal(&self.group).await;
        }
        Ok(())
    }

    /// After a delivery was settled: somebody may wait for its key, for its part, or for our end.
    async fn settled(&self, part: u16) -> Result<(), Error> {
        self.wake.notify_one();
        self.leave_if_idle(part).await?;
        if self.inner().has_ended() { self.end().await } else { Ok(()) }
    }

    /// Takes us from the list of members.
    async fn end(&self) -> Result<(), Error> {
        self.members.lock().await.leave().await?;
        self.shared.signal(&self.group).await;
        Ok(())
    }

    /// Gives away what can be given away, after [`Subscription::close`].
    async fn leave(&self) -> Result<(), Error> {
        let (parts, _) = self.inner().compare(&BTreeSet::new());
        for part in parts {
            self.leave_if_idle(part).await?;
        }
        if self.inner().parts.is_empty() { self.end().await } else { self.beat(true).await.map(drop) }
    }

    /// The part of a delivery that is in the caller's hands.
    fn held(&self, tag: Tag) -> Result<u16, Error> {
        let inner = self.inner();
        let part = inner.lanes.held(tag, Instant::now()).ok_or(Error::Lost)?.part;
        if inner.parts.contains_key(&part) { Ok(part) } else { Err(Error::Lost) }
    }

    /// Hands out what is ready.
    async fn ready(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let taken = self.inner().lanes.take(max, Instant::now(), self.lease);
        let mut suspects = BTreeSet::new();
        for (delivery, _) in taken.iter().filter(|(_, suspect)| *suspect) {
            suspects.insert(self.held(delivery.tag)?);
        }
        try_join_all(suspects.into_iter().map(|part| self.commit(part))).await?;
        Ok(taken.into_iter().map(|(delivery, _)| delivery).collect())
    }

    async fn put_back(&self, tag: Tag, after: Duration, uncount: bool) -> Result<(), Error> {
        let part = self.held(tag)?;
        self.inner().lanes.retry(tag, Instant::now() + after, uncount);
        let committed = self.commit(part).await;
        self.settled(part).await?;
        committed
    }
}

impl Inner {
    /// Closed, and nothing is in hand any more.
    fn has_ended(&self) -> bool {
        self.closed && self.parts.is_empty()
    }

    /// Marks what is not in our share as to be left. Returns all that is to be left, and what is missing.
    fn compare(&mut self, share: &BTreeSet<u16>) -> (Vec<u16>, Vec<u16>) {
        for (number, part) in &mut self.parts {
            if !part.leaving && (self.closed || !share.contains(number)) {
                part.leaving = true;
                part.note(self.lanes.tried(*number));
                self.lanes.drain(*number);
            }
        }
        let leaving = self.parts.iter().filter(|(_, part)| part.leaving).map(|(number, _)| *number).collect();
        let missing = share.iter().filter(|part| !self.closed && !self.parts.contains_key(part)).copied().collect();
        (leaving, missing)
    }

    /// The parts to read, how many were taken so far, and where to begin.
    fn reading(&self, kinds: &[String]) -> (BTreeSet<u16>, u64, u64) {
        let reading = || self.parts.iter().filter(|(_, part)| !part.leaving);
        let start = reading().map(|(_, part)| part.next(kinds)).min().unwrap_or(1);
        (reading().map(|(number, _)| *number).collect(), self.taken, start)
    }

    fn accept(&mut self, number: Option<u16>, place: u64, kind: &str, replays: u32, event: crate::Event) {
        let Some(number) = number else { return };
        let Some(part) = self.parts.get_mut(&number).filter(|part| !part.leaving) else { return };
        let free = self.lanes.is_free(&event.key);
        if let Some((tried, suspect)) = part.accept(kind, place, &event.key, free) {
            self.lanes.push(Waiting { part: number, place, attempts: tried.attempts, replays, suspect, event });
        }
    }

    fn passed(&mut self, parts: &BTreeSet<u16>, place: u64) {
        for (number, part) in &mut self.parts {
            if parts.contains(number) && !part.leaving {
                part.passed(place);
            }
        }
    }

    fn snapshot(&mut self, number: u16, owner: &str, kinds: &[String]) -> Option<(Entry, u64, u64)> {
        let part = self.parts.get_mut(&number)?;
        part.note(self.lanes.tried(number));
        Some((part.entry(owner, kinds), part.revision, part.changes))
    }

    fn forget(&mut self, part: u16) {
        self.parts.remove(&part);
        self.lanes.forget(part);
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let mut driver = self.driver.lock().await;
        loop {
            if self.inner().closed {
                driver.reader = None;
                self.leave().await?;
                return Ok(Vec::new());
            }
            if driver.next <= Instant::now() {
                self.refresh(&mut driver).await?;
            }
            let ready = self.ready(max).await?;
            if !ready.is_empty() {
                return Ok(ready);
            }
            let (room, due) = {
                let inner = self.inner();
                (inner.lanes.len() < AHEAD, inner.lanes.due())
            };
            let Driver { reader, signal, next, .. } = &mut *driver;
            let until = due.map_or(*next, |due| due.min(*next));
            let read = async {
                match reader {
                    Some(reader) if room => reader.next().await.map(|messages| (messages, reader.extent.parts.clone())),
                    _ => std::future::pending().await,
                }
            };
            tokio::select! {
                read = read => match read {
                    Ok((messages, parts)) => self.accept(messages, &parts),
                    Err(error) => {
                        *reader = None;
                        *next = Instant::now();
                        return Err(error);
                    }
                },
                _ = signal.next() => *next = Instant::now(),
                () = self.wake.notified() => {}
                () = sleep_until(until) => {}
            }
        }
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        let part = self.held(delivery.tag)?;
        if let Some(part) = self.inner().parts.get_mut(&part) {
            part.settle(delivery.tag.position.cast_unsigned());
        }
        self.commit(part).await?;
        self.inner().lanes.remove(delivery.tag);
        self.settled(part).await
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        self.put_back(delivery.tag, after, false).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        self.put_back(delivery.tag, Duration::ZERO, true).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        self.held(delivery.tag)?;
        let closed = self.inner().closed;
        if self.inner().alive.is_none_or(|alive| alive.elapsed() >= self.lease / 3) {
            self.beat(closed).await?;
        }
        self.held(delivery.tag)?;
        self.inner().lanes.extend(delivery.tag, Instant::now() + self.lease);
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        self.held(delivery.tag)?;
        let replays = {
            let inner = self.inner();
            inner.lanes.held(delivery.tag, Instant::now()).ok_or(Error::Lost)?.replays
        };
        deaths::bury(&self.shared, &self.group, &delivery.event, (delivery.attempt, replays), &reason).await?;
        self.ack(delivery).await
    }

    fn lease(&self) -> Duration {
        self.lease
    }

    async fn close(&self) {
        self.inner().closed = true;
        self.wake.notify_one();
        // A `fetch` that is under way leaves by itself.
        let Ok(mut driver) = self.driver.try_lock() else { return };
        driver.reader = None;
        if let Err(error) = self.leave().await {
            tracing::debug!(error = &error as &dyn std::error::Error, "others take over when our lease ends");
        }
    }
}
