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
            self.take_missing(missing, list).await?;
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

    /// Takes those of the parts that nobody reads.
    async fn take_missing(&self, missing: Vec<u16>, mut list: List) -> Result<(), Error> {
        let read = missing.into_iter().map(|part| async move { Ok::<_, Error>((part, self.entry(part).await?)) });
        let entries = try_join_all(read).await?;
        let is_free = |entry: &Entry, list: &List| entry.owner == self.id || !list.has(&entry.owner);
        if entries.iter().any(|(_, (entry, _))| !entry.owner.is_empty() && is_free(entry, &list)) {
            // A member is in the list before it takes a part: who has one and is not in a list of now has died, while
            // who is not in a list of before may have come since.
            list = self.beat(false).await?;
        }
        let state = self.shared.streams().await?.events.get_info().await.map_err(Error::bus)?.state;
        let ends = (state.first_sequence, state.last_sequence);
        let free = entries.into_iter().filter(|(_, (entry, _))| is_free(entry, &list));
        try_join_all(free.map(|(part, found)| self.take(part, found, ends))).await.map(drop)
    }

    async fn take(
        &self,
        part: u16,
        (mut entry, revision): (Entry, u64),
        (first, end): (u64, u64),
    ) -> Result<(), Error> {
        let died = !entry.owner.is_empty() && entry.owner != self.id;
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
        if !self.inner().rests(part) {
            return Ok(());
        }
        let _turn = self.writer(part).lock().await;
        if self.inner().rests(part) {
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

#[cfg(test)]
mod tests {
    use crate::nats::{NatsBus, names::PARTS};

    #[tokio::test]
    async fn who_came_after_a_list_was_read_is_not_taken_for_dead() {
        let Some(server) = testkit::servers::Nats::shared().await else { return };
        let bus = NatsBus::open(&server.fresh(), clock::system()).await.unwrap();
        let (first, second) =
            (bus.join("group", &["a.v1"]).await.unwrap(), bus.join("group", &["a.v1"]).await.unwrap());
        let list = first.beat(false).await.unwrap();
        second.refresh(&mut *second.driver.lock().await).await.unwrap();
        let taken: Vec<u16> = second.inner().parts.keys().copied().collect();
        assert!(!taken.is_empty());
        first.take_missing((0..PARTS).collect(), list).await.unwrap();
        assert_eq!(first.inner().parts.len() + taken.len(), usize::from(PARTS), "what is free");
        for part in taken {
            second.check(part).await.unwrap();
            assert!(second.inner().parts.contains_key(&part), "{part} is still the second's");
        }
    }
}
