//! One member of a group.

mod membership;
mod reading;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_nats::{Message, Subject, Subscriber};
use async_trait::async_trait;
use messaging::{
    Delivery, Error, Reason, Subscription, Tag, Track,
    partitioned::{Lanes, Record},
};
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use self::reading::Refusal;
use super::{
    dead_letters,
    group::{Group, Tried},
    members::Members,
    pull::Reading,
    settle::Settlement,
};

/// Events that a member reads ahead in all. Where so many wait behind events that fail, the rest waits in the log.
const AHEAD: usize = 8_192;
/// How long a new member waits for the others' heartbeats, and a leaving one for what is on its way to it.
const SETTLING: Duration = Duration::from_millis(50);

/// A member of a group. Whoever calls `fetch` or `extend` does the work: reading, heartbeats, handing over.
pub(crate) struct NatsSubscription {
    group: Group,
    /// Where the server sends what was asked for: `INBOX.PARTITION.REQUEST`.
    inbox: String,
    state: Mutex<State>,
    driver: tokio::sync::Mutex<Driver>,
    wake: Notify,
}

/// What a member has in memory.
struct State {
    /// The shortest lease of all members.
    lease: Duration,
    lanes: Lanes<Subject>,
    partitions: BTreeMap<u16, Reading>,
    /// The pins of partitions that were given up, as far as the server has been told.
    unpinned: HashMap<u16, String>,
    closed: bool,
}

/// What whoever drives the member works with.
struct Driver {
    messages: Subscriber,
    heartbeats: Subscriber,
    members: Members,
    next_heartbeat: Instant,
    /// Whoever comes waits for the others' heartbeats before it takes partitions; nothing before its own first one.
    assign_from: Option<Instant>,
    /// The connection on which the group was compared with the log; nothing where that has to be done.
    connection: Option<u64>,
    /// Whether somebody has come or gone since the group's consumers were looked at.
    members_changed: bool,
    left: bool,
    id: String,
    /// What has come and is to be given back.
    refused: Vec<Refusal>,
    /// How often something was tried alone, and where last.
    tried: (u64, Option<u16>),
}

impl Driver {
    /// Takes note of a heartbeat.
    fn hear(&mut self, heartbeat: Option<Message>) {
        let Some(heartbeat) = heartbeat else { return };
        if self.members.hear(&heartbeat.payload, Instant::now()) {
            // Whoever came wants to know of us, and what somebody left is ours at once.
            self.next_heartbeat = Instant::now();
            self.members_changed = true;
        }
    }

    /// Notes that something of a partition is about to be tried alone.
    fn tries(&mut self, partition: u16, sequence: u64) -> Tried {
        self.tried = (self.tried.0 + 1, Some(partition));
        Tried { member: self.id.clone(), count: self.tried.0, sequence }
    }
}

impl NatsSubscription {
    pub(crate) async fn join(group: Group, track: Track) -> Result<Self, Error> {
        let connection = group.connection.count();
        let lease = group.ensure().await?;
        let client = &group.connection.client;
        let inbox = client.new_inbox();
        let messages = client.subscribe(format!("{inbox}.*.*")).await.map_err(Error::bus)?;
        let heartbeat = group.connection.names().heartbeat(&group.name);
        let heartbeats = client.subscribe(heartbeat).await.map_err(Error::bus)?;
        let id = Uuid::now_v7().to_string();
        let members = Members::new(id.clone(), track, &group.kinds, lease);
        let driver = Driver {
            messages,
            heartbeats,
            members,
            next_heartbeat: Instant::now(),
            assign_from: None,
            connection: Some(connection),
            members_changed: false,
            left: false,
            id,
            refused: Vec::new(),
            tried: (0, None),
        };
        let state = State {
            lease,
            lanes: Lanes::new(lease),
            partitions: BTreeMap::new(),
            unpinned: HashMap::new(),
            closed: false,
        };
        let (state, driver, wake) = (Mutex::new(state), tokio::sync::Mutex::new(driver), Notify::new());
        Ok(Self { group, inbox, state, driver, wake })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lease(&self) -> Duration {
        self.state().lease
    }

    /// What settles a delivery that is in the caller's hands, and whether its partition is still ours.
    fn held(&self, tag: Tag) -> Result<(Record<Subject>, bool), Error> {
        let state = self.state();
        let record = state.lanes.held(tag, Instant::now()).ok_or(Error::Lost)?;
        Ok((record.clone(), state.partitions.contains_key(&record.partition)))
    }

    /// Takes a delivery back into the lanes; says no where its partition is not ours any more. One step: in between the
    /// partition could be given up, and nobody would tell the server of the delivery.
    fn give_back(&self, tag: Tag, how: fn(&mut Lanes<Subject>, Tag)) -> Result<bool, Error> {
        let mut state = self.state();
        let partition = state.lanes.held(tag, Instant::now()).ok_or(Error::Lost)?.partition;
        let ours = state.partitions.contains_key(&partition);
        if ours {
            how(&mut state.lanes, tag);
        }
        drop(state);
        self.wake.notify_one();
        Ok(ours)
    }

    /// Tells the server what became of a delivery, and keeps it in the same hands where the server did not take it.
    async fn settle(&self, tag: Tag, settlement: Settlement, stays: bool) -> Result<(), Error> {
        let (record, _) = self.held(tag)?;
        let until = self.state().lanes.settle(tag).ok_or(Error::Lost)?;
        let settled = settlement.confirmed(&self.group.connection, record.handle).await;
        let mut state = self.state();
        match settled {
            Ok(()) if stays => state.lanes.wait(tag),
            Ok(()) => state.lanes.remove(tag),
            Err(_) => state.lanes.unsettle(tag),
        }
        drop(state);
        self.wake.notify_one();
        settled.and_then(|()| if Instant::now() < until { Ok(()) } else { Err(Error::Lost) })
    }

    /// Waits until there is something to do.
    async fn next(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        let mut driver = self.driver.lock().await;
        loop {
            if self.state().closed {
                self.leave(&mut driver).await?;
                return Ok(Vec::new());
            }
            let next = self.upkeep(&mut driver).await?;
            let (deliveries, renewals) = {
                let lanes = &mut self.state().lanes;
                (lanes.take(max, Instant::now()), lanes.renewals())
            };
            if !deliveries.is_empty() {
                self.progress(renewals).await;
                return Ok(deliveries);
            }
            self.take_in(&mut driver, next).await;
        }
    }
}

#[async_trait]
impl Subscription for NatsSubscription {
    async fn fetch(&self, max: usize) -> Result<Vec<Delivery>, Error> {
        self.group.connection.explained(self.next(max).await)
    }

    async fn ack(&self, delivery: &Delivery) -> Result<(), Error> {
        self.settle(delivery.tag, Settlement::Ack, false).await
    }

    async fn retry(&self, delivery: &Delivery, after: Duration) -> Result<(), Error> {
        let (_, ours) = self.held(delivery.tag)?;
        self.settle(delivery.tag, Settlement::Nak(after), ours).await
    }

    async fn release(&self, delivery: &Delivery) -> Result<(), Error> {
        if self.give_back(delivery.tag, Lanes::release)? {
            return Ok(());
        }
        self.settle(delivery.tag, Settlement::Nak(Duration::ZERO), false).await
    }

    async fn isolate(&self, delivery: &Delivery) -> Result<(), Error> {
        if self.give_back(delivery.tag, Lanes::isolate)? {
            return Ok(());
        }
        self.settle(delivery.tag, Settlement::Nak(Duration::ZERO), false).await
    }

    async fn extend(&self, delivery: &Delivery) -> Result<(), Error> {
        let (record, _) = self.held(delivery.tag)?;
        // The lease counts from before the server hears of it: it must not end later for us than for the server.
        self.state().lanes.extend(delivery.tag, Instant::now());
        Settlement::Progress.sent(&self.group.connection, record.handle).await;
        // While all handlers are busy nobody fetches.
        if let Ok(mut driver) = self.driver.try_lock()
            && !self.state().closed
        {
            let now = Instant::now();
            self.take_in(&mut driver, now).await;
            self.upkeep(&mut driver).await?;
        }
        Ok(())
    }

    async fn dead_letter(&self, delivery: &Delivery, reason: Reason) -> Result<(), Error> {
        let (record, _) = self.held(delivery.tag)?;
        let counts = (delivery.attempt, record.replays);
        dead_letters::store(&self.group.connection, &self.group.name, &delivery.event, counts, &reason).await?;
        self.ack(delivery).await
    }

    fn lease(&self) -> Duration {
        Self::lease(self)
    }

    async fn close(&self) {
        self.state().closed = true;
        self.wake.notify_one();
        // A `fetch` that is under way leaves by itself.
        let Ok(mut driver) = self.driver.try_lock() else { return };
        if let Err(error) = self.leave(&mut driver).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "others take over when our lease ends");
        }
    }
}
