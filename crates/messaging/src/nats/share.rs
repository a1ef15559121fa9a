//! Which parts a member has: it gives signs of life, takes what is its share, and leaves what is not.

use std::collections::BTreeSet;

use async_nats::jetstream::kv::UpdateErrorKind;
use futures::future::try_join_all;
use tokio::time::Instant;

use super::{
    entry::Entry,
    members::List,
    names::part_key,
    part::Part,
    state::State,
    subscription::{Driver, NatsSubscription},
};
use crate::Error;

impl NatsSubscription {
    /// Gives a sign of life, leaves what others should have, takes what is ours, reads that.
    pub(super) async fn refresh(&self, driver: &mut Driver) -> Result<(), Error> {
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
        self.read_on(driver).await?;
        let behind = self.inner().behind();
        for part in behind {
            match self.commit(part).await {
                Ok(()) | Err(Error::Lost) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that we live. After a pause in which others may have taken us for dead, looks at what is still ours.
    pub(super) async fn beat(&self, leaving: bool) -> Result<List, Error> {
        let began = Instant::now();
        let list = self.members.lock().await.beat(leaving).await?;
        if self.inner().alive.is_some_and(|alive| alive.elapsed() >= self.lease) {
            let parts: Vec<u16> = self.inner().parts.keys().copied().collect();
            try_join_all(parts.into_iter().map(|part| self.check(part))).await?;
        }
        self.inner().alive = Some(began);
        Ok(list)
    }

    pub(super) async fn entry(&self, part: u16) -> Result<(Entry, u64), Error> {
        let groups = &self.shared.streams().await?.groups;
        let found = groups.entry(part_key(&self.group, part)).await.map_err(Error::bus)?;
        let found = found.ok_or_else(|| Error::bus("a part of the group is missing in the bucket"))?;
        Ok((Entry::from_bytes(&found.value)?, found.revision))
    }

    /// Forgets a part that is somebody else's by now.
    pub(super) async fn check(&self, part: u16) -> Result<(), Error> {
        let (entry, _) = self.entry(part).await?;
        if entry.owner != self.id {
            self.inner().forget(part);
        }
        Ok(())
    }

    /// Takes a part that nobody reads.
    pub(super) async fn take(&self, part: u16, list: &List, (first, end): (u64, u64)) -> Result<(), Error> {
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

    /// Gives a part away that is to be left and of which nothing is in hand.
    pub(super) async fn leave_if_idle(&self, part: u16) -> Result<(), Error> {
        let idle = |inner: &State| {
            let leaving = inner.parts.get(&part).is_some_and(|part| part.leaving);
            leaving && inner.lanes.in_hand(part, Instant::now()) == 0
        };
        if !idle(&self.inner()) {
            return Ok(());
        }
        let _turn = self.writer(part).lock().await;
        if idle(&self.inner()) {
            match self.write(part, "").await {
                // Somebody has taken it already.
                Err(Error::Lost) => return Ok(()),
                written => written?,
            }
            self.inner().forget(part);
            self.shared.signal(&self.group).await;
        }
        Ok(())
    }

    /// Takes us from the list of members.
    pub(super) async fn end(&self) -> Result<(), Error> {
        self.members.lock().await.leave().await?;
        self.shared.signal(&self.group).await;
        Ok(())
    }

    /// Gives away what can be given away, after [`Subscription::close`].
    pub(super) async fn leave(&self) -> Result<(), Error> {
        let (parts, _) = self.inner().compare(&BTreeSet::new());
        for part in parts {
            self.leave_if_idle(part).await?;
        }
        if self.inner().parts.is_empty() { self.end().await } else { self.beat(true).await.map(drop) }
    }
}
