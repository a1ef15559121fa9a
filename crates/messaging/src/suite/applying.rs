//! A group at work: publishers that do not give up, and members that apply each event once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::sleep;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use uuid::Uuid;

use super::{DEADLINE, KINDS, number};
use crate::{Bus, Consumer, Event, Handler, HandlerError, Policy, Receipt};

/// Applies each event once, as an inbox does.
#[derive(Default)]
pub struct Inbox {
    known: Mutex<HashSet<Uuid>>,
    applied: Mutex<HashMap<String, Vec<u64>>>,
    /// How long each takes.
    pause: Duration,
}

#[async_trait]
impl Handler for Inbox {
    async fn handle(&self, event: &Event, _: Receipt) -> Result<(), HandlerError> {
        sleep(self.pause).await;
        if self.known.lock().unwrap().insert(event.id) {
            self.applied.lock().unwrap().entry(event.key.clone()).or_default().push(number(event));
        }
        Ok(())
    }
}

impl Inbox {
    /// One that takes so long for each event.
    pub fn slow(pause: Duration) -> Self {
        Self { pause, ..Self::default() }
    }

    /// Waits until so many events were applied at least and the group has nothing left to do. The depth alone says nothing
    /// of a group whose first member has not joined yet.
    pub async fn settled(&self, bus: &Arc<dyn Bus>, count: u64) {
        testkit::eventually!(within 4 * DEADLINE, self.count() as u64 >= count);
        settled(bus).await;
    }

    /// How many events were applied.
    pub fn count(&self) -> usize {
        self.applied.lock().unwrap().values().map(Vec::len).sum()
    }

    /// What was applied, by key.
    pub fn applied(&self) -> HashMap<String, Vec<u64>> {
        self.applied.lock().unwrap().clone()
    }

    /// Leaves the events of a key out of what was applied.
    pub fn forget(&self, key: &str) {
        self.applied.lock().unwrap().remove(key);
    }

    /// Makes sure that each of so many keys has had so many events, numbered from 0 on, once and in order.
    pub fn assert_whole(&self, keys: u64, events: u64) {
        let (applied, expected) = (self.applied(), (0..events).collect::<Vec<u64>>());
        assert_eq!(applied.len() as u64, keys);
        for (key, numbers) in applied {
            assert_eq!(numbers, expected, "of key {key}");
        }
    }
}

/// A consumer of the group `group` at work.
pub struct Member {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Member {
    /// Lets a member go to work.
    pub fn start(bus: Arc<dyn Bus>, inbox: &Arc<Inbox>) -> Self {
        let (token, tasks) = (CancellationToken::new(), TaskTracker::new());
        let consumer = Consumer::new(bus, "group", KINDS, Arc::clone(inbox) as Arc<dyn Handler>, Policy::default());
        tasks.spawn(consumer.run(token.clone(), tasks.clone()));
        Self { token, tasks }
    }

    /// Lets it finish and leave.
    pub async fn stop(self) {
        self.token.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Publishes, again and again while the bus does not take it.
pub async fn insist(bus: &Arc<dyn Bus>, events: &[Event]) {
    while bus.publish(events).await.is_err() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until a group that somebody has joined has nothing to do, and still nothing a moment later: a broker may count
/// what was just published a moment later.
pub async fn settled(bus: &Arc<dyn Bus>) {
    let idle = async || match bus.depth("group").await {
        Ok(0) => Ok(()),
        busy => Err(format!("a depth of {busy:?}")),
    };
    testkit::eventually!(within 4 * DEADLINE, match idle().await {
        Ok(()) => {
            sleep(Duration::from_millis(50)).await;
            idle().await
        }
        busy => busy,
    });
}
