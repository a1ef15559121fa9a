//! One member of a group.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{
    Subscriber,
    jetstream::{Message, kv::UpdateErrorKind},
};
use async_trait::async_trait;
use futures::{StreamExt as _, future::join_all};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use uuid::Uuid;

use super::{
    bus::{Shared, Streams},
    deaths,
    entry::REPLAY,
    members::Members,
    message,
    names::{PARTS, part_key},
    reader::{Extent, Reader},
    state::State,
};
use crate::{Delivery, Error, Reason, Subscription, Tag, Track};

/// Events that a member reads ahead. Where so many wait behind events that fail, the rest waits in the log.
const AHEAD: usize = 8_192;
/// Tries to write an entry that only we should write.
const TRIES: u32 = 3;

/// A member of a group. Whoever calls `fetch` does the work: reading, signs of life, sharing parts with others.
pub(super) struct NatsSubscription {
    pub(super) shared: Arc<Shared>,
    pub(super) group: String,
    kinds: Vec<String>,
    pub(super) lease: Duration,
    pub(super) id: String,
    inner: Mutex<State>,
    pub(super) driver: tokio::sync::Mutex<Driver>,
    pub(super) members: tokio::sync::Mutex<Members>,
    /// Writes of one part follow each other, and one writes what several have changed.
    writers: Vec<tokio::sync::Mutex<()>>,
    wake: Notify,
}

/// What whoever calls `fetch` works with.
pub(super) struct Driver {
    reader: Option<Reader>,
    signal: Subscriber,
    pub(super) next: Instant,
    pub(super) joined: bool,
}

impl NatsSubscription {
    pub(super) async fn new(
        shared: Arc<Shared>,
        streams: &Streams,
        group: &str,
        kinds: Vec<String>,
        (track, lease): (Track, Duration),
    ) -> Result<Self, Error> {
        let id = Uuid::now_v7().to_string();
        let signal = shared.client.subscribe(shared.names.signal(group)).await.map_err(Error::bus)?;
        let members = Members::new(streams.groups.clone(), group, &id, &kinds, (track, lease));
        let driver = Driver { reader: None, signal, next: Instant::now(), joined: false };
        Ok(Self {
            shared,
            group: group.to_owned(),
            kinds,
            lease,
            id,
            inner: Mutex::default(),
            driver: tokio::sync::Mutex::new(driver),
            members: tokio::sync::Mutex::new(members),
            writers: (0..PARTS).map(|_| tokio::sync::Mutex::default()).collect(),
            wake: Notify::new(),
        })
    }

    pub(super) fn inner(&self) -> MutexGuard<'_, State> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a reader where there is none for exactly our parts.
    pub(super) async fn read_on(&self, driver: &mut Driver) -> Result<(), Error> {
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

    /// Puts what was read into its lanes. All parts were read together, in the order of the log.
    fn accept(&self, messages: Vec<Message>, parts: &BTreeSet<u16>) {
        let mut inner = self.inner();
        let mut last = 0;
        for message in messages {
            let Ok(info) = message.info() else { continue };
            let place = info.stream_sequence;
            last = last.max(place);
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
        }
        inner.passed(parts, last);
    }

    /// Writes down what has changed in a part; of several who want that at once, one does it for all.
    pub(super) async fn commit(&self, part: u16) -> Result<(), Error> {
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

    pub(super) fn writer(&self, part: u16) -> &tokio::sync::Mutex<()> {
        &self.writers[usize::from(part)]
    }

    pub(super) async fn write(&self, number: u16, owner: &str) -> Result<(), Error> {
        for _ in 0..TRIES {
            let (entry, revision, changes) = self.inner().snapshot(number, owner, &self.kinds).ok_or(Error::Lost)?;
            let groups = &self.shared.streams().await?.groups;
            match groups.update(part_key(&self.group, number), entry.to_bytes()?, revision).await {
                Ok(revision) => {
                    if let Some(part) = self.inner().parts.get_mut(&number) {
                        part.wrote(&entry, revision, changes);
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

    /// After a delivery was settled: somebody may wait for its key, for its part, or for our end.
    async fn settled(&self, part: u16) -> Result<(), Error> {
        self.wake.notify_one();
        self.leave_if_idle(part).await?;
        if self.inner().has_ended() { self.end().await } else { Ok(()) }
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
        let suspects: BTreeSet<u16> = taken
            .iter()
            .filter(|(_, suspect)| *suspect)
            .filter_map(|(delivery, _)| self.held(delivery.tag).ok())
            .collect();
        for written in join_all(suspects.into_iter().map(|part| self.commit(part))).await {
            match written {
                Ok(()) | Err(Error::Lost) => {}
                Err(error) => return Err(error),
            }
        }
        // Without those of a part that turned out to be somebody else's.
        Ok(taken.into_iter().map(|(delivery, _)| delivery).filter(|delivery| self.held(delivery.tag).is_ok()).collect())
    }

    async fn put_back(&self, tag: Tag, after: Duration, uncount: bool) -> Result<(), Error> {
        let part = self.held(tag)?;
        self.inner().lanes.retry(tag, Instant::now() + after, uncount);
        let committed = self.commit(part).await;
        self.settled(part).await?;
        committed
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
