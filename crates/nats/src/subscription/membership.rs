//! Which partitions a member has: heartbeats, the assignment, and giving back what is somebody else's.

use std::time::Duration;

use async_nats::Subject;
use futures::{StreamExt as _, future::join_all};
use messaging::Error;
use tokio::time::{Instant, timeout};

use super::{Driver, NatsSubscription, SETTLING};
use crate::{
    group,
    names::{self, READERS},
    pull::Reading,
    settle::Settlement,
};

/// No record has this sequence.
const NOTHING: u64 = 0;

impl NatsSubscription {
    pub(super) async fn heartbeat(&self, driver: &mut Driver, leaving: bool) -> Result<(), Error> {
        let payload = driver.members.heartbeat(leaving)?;
        let subject = self.group.connection.names().heartbeat(&self.group.name);
        self.group.connection.client.publish(subject, payload.into()).await.map_err(Error::bus)?;
        driver.next_heartbeat = Instant::now() + self.lease() / 3;
        Ok(())
    }

    /// Gives up what is not ours by now, and begins to read what is.
    pub(super) async fn reassign(&self, driver: &mut Driver) {
        let now = Instant::now();
        let assigned = driver.members.assignment(now);
        let revoked: Vec<u16> = {
            let mut state = self.state();
            state.lease = driver.members.lease();
            state.lanes.set_lease(driver.members.lease());
            for partition in &assigned {
                state.partitions.entry(*partition).or_insert_with(|| Reading::new(now));
            }
            state.partitions.keys().filter(|partition| !assigned.contains(partition)).copied().collect()
        };
        self.revoke(revoked).await;
    }

    /// Stops reading partitions and gives back what nobody has in hand. What is in hand is settled by whoever has it,
    /// and the next reader waits for that.
    pub(super) async fn revoke(&self, partitions: Vec<u16>) {
        let (mut pinned, mut given_back) = (Vec::new(), Vec::new());
        {
            let (mut state, now) = (self.state(), Instant::now());
            for partition in partitions {
                if let Some(pin) = state.partitions.remove(&partition).and_then(|reading| reading.pin) {
                    state.unpinned.insert(partition, pin);
                    pinned.push(partition);
                }
                given_back.extend(state.lanes.revoke(partition, now));
            }
        }
        // Before anything is given back: it must not come to us again.
        join_all(pinned.into_iter().map(|partition| self.unpin(partition))).await;
        for record in given_back {
            Settlement::Nak(Duration::ZERO).sent(&self.group.connection, record.handle).await;
        }
    }

    /// Lets the next reader have a partition at once; without this it waits until our pin runs out.
    pub(super) async fn unpin(&self, partition: u16) {
        let unpin = async {
            let streams = self.group.connection.streams.get().await?;
            let consumer = names::consumer(&self.group.name, partition);
            streams.events.unpin_consumer(&consumer, READERS).await.map_err(Error::bus)
        };
        match timeout(self.lease() / 8, unpin).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::debug!(
                    partition,
                    error = &error as &dyn std::error::Error,
                    "cannot unpin: the pin expires by itself"
                );
            }
            Err(late) => {
                tracing::debug!(
                    partition,
                    error = &late as &dyn std::error::Error,
                    "cannot unpin: the pin expires by itself"
                );
            }
        }
    }

    /// Tells the server that what waits here is still wanted.
    pub(super) async fn renew(&self) {
        let now = Instant::now();
        let before = now.checked_sub(self.lease() / 2).unwrap_or(now);
        let waiting = self.state().lanes.renew(before, now);
        self.progress(waiting).await;
    }

    pub(super) async fn progress(&self, handles: Vec<Subject>) {
        for handle in handles {
            Settlement::Progress.sent(&self.group.connection, handle).await;
        }
    }

    /// Leaves the group: gives back everything that nobody has in hand.
    pub(super) async fn leave(&self, driver: &mut Driver) -> Result<(), Error> {
        if std::mem::replace(&mut driver.left, true) {
            return Ok(());
        }
        // Who leaves has not died of what it tried last. Noted before that is given back.
        if let Some(partition) = driver.tried.1 {
            let nothing = driver.tries(partition, NOTHING);
            if let Err(error) = self.group.note_tried(partition, &nothing).await {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(partition, error, "an event that was tried may be taken for what this member died of");
            }
        }
        self.refuse(driver).await;
        let all = self.state().partitions.keys().copied().collect();
        self.revoke(all).await;
        self.heartbeat(driver, true).await?;
        // What is on its way to us has to be given back as well, and then nothing may come any more.
        while let Ok(Some(message)) = timeout(SETTLING, driver.messages.next()).await {
            self.take(Some(message), driver).await;
        }
        // What the server sends until it hears of that would be dropped by `unsubscribe`, and nobody else would have it for a
        // lease. The client waits for it until its own next turn, which under load may come before the server's answer.
        driver.messages.drain().await.map_err(Error::bus)?;
        // Without a connection that does not end.
        while let Ok(Some(message)) = timeout(self.lease() / 8, driver.messages.next()).await {
            self.take(Some(message), driver).await;
        }
        // Asked about its consumers, the server drops requests that nobody waits for any more. Otherwise it would give
        // what is published next to one of them, and the partition would rest until that pin runs out.
        group::depth(&*self.group.connection.streams.get().await?, &self.group.name).await.map(drop)
    }
}
