//! Which parts a member has: it gives signs of life, takes what is its share, and leaves what is not.

use std::collections::BTreeSet;

use async_nats::jetstream::kv::UpdateErrorKind;
use futures::future::{join_all, try_join_all};
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
        self.commit_all(behind).await?;
        // Last: what breaks off here begins anew, before anything is read on for parts that were taken meanwhile.
        driver.next = Instant::now() + self.lease / 3;
        Ok(())
    }

    /// Says that we live. After a pause in which others may have taken us for dead, writes what we have down anew: either
    /// it is somebody else's by now, or whoever is about to take it comes too late.
    pub(super) async fn beat(&self, leaving: bool) -> Result<List, Error> {
        let began = Instant::now();
        let list = self.members.lock().await.beat(leaving).await?;
        if self.inner().alive.is_some_and(|alive| alive.elapsed() >= self.lease) {
            let parts: Vec<u16> = self.inner().parts.keys().copied().collect();
            self.commit_all(parts).await?;
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

    /// Writes parts down, and forgets those that are somebody else's by now.
    async fn commit_all(&self, parts: Vec<u16>) -> Result<(), Error> {
        for committed in join_all(parts.into_iter().map(|part| self.commit(part))).await {
            match committed {
                Ok(()) | Err(Error::Lost) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes those of the parts that nobody reads.
    async fn take_missing(&self, missing: Vec<u16>, mut list: List) -> Result<(), Error> {
        let read = missing.into_iter().map(|part| async move { Ok::<_, Error>((part, self.entry(part).await?)) });
        let entries = try_join_all(read).await?;
        let is_free = |entry: &Entry, list: &List| entry.owner == self.id || !list.has(&entry.owner);
        if entries.iter().any(|(_, (entry, _))| !entry.owner.is_empty() && is_free(entry, &list)) {
            // A member is in the list before it takes a part. So an owner who is not in a list of now has died; one who
            // is not in the list that we have may have come since.
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
        self.inner().taking.insert(part);
        let groups = &self.shared.streams().await?.groups;
        match groups.update(part_key(&self.group, part), taken, revision).await {
            Ok(revision) => {
                let mut inner = self.inner();
                inner.taking.remove(&part);
                inner.taken += 1;
                inner.parts.insert(part, Part::taken(entry, revision, died, end));
                Ok(())
            }
            Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {
                self.inner().taking.remove(&part);
                Ok(())
            }
            Err(error) => Err(Error::bus(error)),
        }
    }

    /// Gives a part away that is to be left and of which nothing is in hand.
    pub(super) async fn leave_if_idle(&self, part: u16) -> Result<(), Error> {
        if !self.inner().put_to_rest(part) {
            return Ok(());
        }
        let _turn = self.writer(part).lock().await;
        if self.inner().put_to_rest(part) {
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
    use std::time::Duration;

    use super::*;
    use crate::nats::{NatsBus, names::PARTS};

    const LEASE: Duration = Duration::from_millis(200);

    /// Two members of a group, of whom the second has taken its share.
    async fn pair(lease: Duration) -> Option<(NatsSubscription, NatsSubscription)> {
        let url = testkit::servers::Nats::shared().await?.fresh();
        let bus = NatsBus::open(&url, clock::system()).await.unwrap().with_lease(lease);
        let (first, second) =
            (bus.join("group", &["a.v1"]).await.unwrap(), bus.join("group", &["a.v1"]).await.unwrap());
        Some((first, second))
    }

    fn parts(member: &NatsSubscription) -> Vec<u16> {
        member.inner().parts.keys().copied().collect()
    }

    async fn refresh(member: &NatsSubscription) {
        member.refresh(&mut *member.driver.lock().await).await.unwrap();
    }

    #[tokio::test]
    async fn who_came_after_a_list_was_read_is_not_taken_for_dead() {
        let Some((first, second)) = pair(LEASE * 100).await else { return };
        let list = first.beat(false).await.unwrap();
        refresh(&second).await;
        let taken = parts(&second);
        assert!(!taken.is_empty());
        first.take_missing((0..PARTS).collect(), list).await.unwrap();
        assert_eq!(parts(&first).len() + taken.len(), usize::from(PARTS), "what is free");
        second.commit_all(taken.clone()).await.unwrap();
        assert_eq!(parts(&second), taken, "still the second's");
    }

    #[tokio::test]
    async fn who_comes_back_from_a_pause_shares_its_parts_with_nobody() {
        let Some((first, second)) = pair(LEASE).await else { return };
        refresh(&second).await;
        let part = parts(&second)[0];
        let found = first.entry(part).await.unwrap();
        tokio::time::sleep(LEASE).await;
        // The first has decided to take the part when the second comes back.
        second.beat(false).await.unwrap();
        first.take(part, found, (0, 0)).await.unwrap();
        assert!(parts(&second).contains(&part) && parts(&first).is_empty());
    }

    #[tokio::test]
    async fn a_part_that_was_taken_without_an_answer_is_looked_at_again() {
        let Some((first, _)) = pair(LEASE * 100).await else { return };
        refresh(&first).await;
        let part = parts(&first)[0];
        // As where the answer did not come.
        first.inner().forget(part);
        first.inner().taking.insert(part);
        let (_, missing) = first.inner().compare(&BTreeSet::new());
        assert_eq!(missing, [part], "also where it is not in our share any more");
        let list = first.beat(false).await.unwrap();
        first.take_missing(missing, list).await.unwrap();
        assert!(parts(&first).contains(&part) && first.inner().taking.is_empty());
    }

    #[tokio::test]
    async fn who_could_not_be_seen_is_not_taken_for_dead() {
        let Some((first, second)) = pair(LEASE).await else { return };
        second.beat(false).await.unwrap();
        first.beat(false).await.unwrap();
        // As long as the server is away nobody beats, and nobody looks.
        tokio::time::sleep(LEASE * 2).await;
        assert!(first.beat(false).await.unwrap().has(&second.id));
        testkit::eventually!(!first.beat(false).await.unwrap().has(&second.id));
    }

    #[tokio::test]
    async fn a_refresh_that_breaks_off_is_begun_anew() {
        let Some((first, _)) = pair(LEASE * 100).await else { return };
        first.shared.streams().await.unwrap().groups.purge(part_key("group", 0)).await.unwrap();
        let mut driver = first.driver.lock().await;
        first.refresh(&mut driver).await.unwrap_err();
        assert!(driver.next <= Instant::now(), "nothing is read on before it");
    }
}
