//! Who is in a group, and which parts each of them reads.
//!
//! One entry of the bucket lists the members. Each counts its beat there; whoever sees a member's beat stand still for
//! as long as that member's lease takes it for dead. Only durations are compared, by each with its own clock.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
    time::Duration,
};

use async_nats::jetstream::kv::{Store, UpdateErrorKind};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::names::{KEYS, PARTS, members_key};
use crate::{Error, Track};

/// Tries to write the list while others write it too.
const TRIES: u32 = 20;

/// The list of members as the bucket has it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct List(BTreeMap<String, Member>);

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Member {
    beat: u64,
    lease: u64, // ms
    kinds: BTreeSet<String>,
    leaving: bool,
    #[serde(default)]
    canary: bool,
}

impl List {
    pub(super) fn has(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }

    /// The parts of a member: the stable ones share those of unmarked events, and the canaries those of marked ones;
    /// where there is no canary, the stable ones share them too, each those of the same keys.
    pub(super) fn share(&self, id: &str) -> BTreeSet<u16> {
        let (stable, canaries) = (self.owners(false), self.owners(true));
        let marked = if canaries.is_empty() { &stable } else { &canaries };
        let share = |owners: &[&String], parts: Range<u16>| {
            let (count, place) = (owners.len(), owners.iter().position(|owner| *owner == id));
            parts.filter(move |part| place.is_some_and(|place| usize::from(*part % KEYS) % count == place))
        };
        share(&stable, 0..KEYS).chain(share(marked, KEYS..PARTS)).collect()
    }

    /// Who reads on one track: those who know every kind that is asked for there, or all where nobody does.
    fn owners(&self, canary: bool) -> Vec<&String> {
        let staying = || self.0.iter().filter(|(_, member)| !member.leaving && member.canary == canary);
        let all: BTreeSet<&String> = staying().flat_map(|(_, member)| &member.kinds).collect();
        let knows_all = |member: &Member| all.iter().all(|kind| member.kinds.contains(*kind));
        let owners: Vec<&String> = staying().filter(|(_, m)| knows_all(m)).map(|(id, _)| id).collect();
        if owners.is_empty() { staying().map(|(id, _)| id).collect() } else { owners }
    }
}

/// This member's view of the list.
#[derive(Debug)]
pub(super) struct Members {
    bucket: Store,
    key: String,
    id: String,
    kinds: BTreeSet<String>,
    track: Track,
    lease: Duration,
    /// The last beat of each member and when it was new to us.
    seen: HashMap<String, (u64, Instant)>,
    /// When we last looked.
    looked: Option<Instant>,
}

impl Members {
    pub(super) fn new(
        bucket: Store,
        group: &str,
        id: &str,
        kinds: &[String],
        (track, lease): (Track, Duration),
    ) -> Self {
        let kinds = kinds.iter().cloned().collect();
        Self {
            bucket,
            key: members_key(group),
            id: id.to_owned(),
            kinds,
            track,
            lease,
            seen: HashMap::new(),
            looked: None,
        }
    }

    /// Says that this member lives, drops the dead, and returns who is left. `leaving` members get no new parts.
    pub(super) async fn beat(&mut self, leaving: bool) -> Result<List, Error> {
        self.change(|list, id, me| {
            let beat = list.0.get(id).map_or(1, |known| known.beat + 1);
            list.0.insert(id.to_owned(), Member { beat, leaving, ..me });
        })
        .await
    }

    /// Takes this member from the list.
    pub(super) async fn leave(&mut self) -> Result<List, Error> {
        self.change(|list, id, _| drop(list.0.remove(id))).await
    }

    async fn change(&mut self, change: impl Fn(&mut List, &str, Member)) -> Result<List, Error> {
        for _ in 0..TRIES {
            let known = self.bucket.entry(&self.key).await.map_err(Error::bus)?;
            let (mut list, revision) = match known {
                Some(known) => (serde_json::from_slice(&known.value).unwrap_or_default(), known.revision),
                None => (List::default(), 0),
            };
            self.drop_dead(&mut list);
            let lease = u64::try_from(self.lease.as_millis()).unwrap_or(u64::MAX);
            let me = Member {
                beat: 0,
                lease,
                kinds: self.kinds.clone(),
                leaving: false,
                canary: self.track == Track::Canary,
            };
            change(&mut list, &self.id, me);
            let value = serde_json::to_vec(&list).map_err(Error::Encode)?;
            match self.bucket.update(&self.key, value.into(), revision).await {
                Ok(_) => return Ok(list),
                Err(error) if error.kind() == UpdateErrorKind::WrongLastRevision => {}
                Err(error) => return Err(Error::bus(error)),
            }
        }
        Err(Error::bus("too many members change the group at the same time"))
    }

    fn drop_dead(&mut self, list: &mut List) {
        let now = Instant::now();
        // A beat that we could not have seen does not stand still: looks are due every third of a lease.
        let blind = self.looked.replace(now).map_or(Duration::ZERO, |at| (now - at).saturating_sub(self.lease / 2));
        self.seen.values_mut().for_each(|(_, since)| *since += blind);
        self.seen.retain(|id, _| list.has(id));
        list.0.retain(|id, member| {
            let (beat, since) = self.seen.entry(id.clone()).or_insert((member.beat, now));
            if *beat != member.beat {
                (*beat, *since) = (member.beat, now);
            }
            *id == self.id || now.duration_since(*since) < Duration::from_millis(member.lease)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(members: &[(&str, &[&str], bool)]) -> List {
        let member = |kinds: &[&str], leaving| Member {
            beat: 1,
            lease: 1,
            kinds: kinds.iter().map(ToString::to_string).collect(),
            leaving,
            canary: false,
        };
        List(members.iter().map(|(id, kinds, leaving)| ((*id).to_owned(), member(kinds, *leaving))).collect())
    }

    #[test]
    fn parts_are_shared_by_those_who_know_all_kinds() {
        let three = list(&[("a", &["x"], false), ("b", &["x"], false), ("c", &["x"], true)]);
        let (a, b) = (three.share("a"), three.share("b"));
        assert_eq!((a.len(), b.len(), three.share("c").len()), (16, 16, 0));
        assert!(a.is_disjoint(&b));
        let updating = list(&[("new", &["x", "y"], false), ("old", &["x"], false)]);
        assert_eq!((updating.share("new").len(), updating.share("old").len()), (32, 0));
        let split = list(&[("a", &["x"], false), ("b", &["y"], false)]);
        assert_eq!(split.share("a").len() + split.share("b").len(), 32);
    }

    #[test]
    fn without_a_canary_both_parts_of_a_key_are_in_the_same_hands() {
        let names: Vec<String> = (0..16).map(|n| format!("{n:02}")).collect();
        for count in 1..=names.len() {
            let members: Vec<_> = names[..count].iter().map(|name| (name.as_str(), &["x"][..], false)).collect();
            let list = list(&members);
            for name in &names[..count] {
                let share = list.share(name);
                assert!((0..KEYS).all(|part| share.contains(&part) == share.contains(&(part + KEYS))), "{count}");
            }
        }
    }

    #[test]
    fn marked_parts_are_the_canarys_while_there_is_one() {
        let mut list = list(&[("a", &["x"], false), ("b", &["x"], false), ("c", &["x", "y"], false)]);
        let canary = |list: &mut List, leaving| {
            let member = list.0.get_mut("c").unwrap();
            (member.canary, member.leaving) = (true, leaving);
        };
        canary(&mut list, false);
        let (a, b) = (list.share("a"), list.share("b"));
        assert_eq!(a.union(&b).copied().collect::<Vec<_>>(), (0..KEYS).collect::<Vec<_>>());
        assert_eq!((a.len(), b.len()), (8, 8), "a kind that only the canary knows changes nothing");
        assert_eq!(list.share("c"), (KEYS..PARTS).collect());
        canary(&mut list, true);
        assert_eq!((list.share("a").len(), list.share("b").len(), list.share("c").len()), (16, 16, 0));
        list.0.retain(|id, _| id == "c");
        canary(&mut list, false);
        assert_eq!(list.share("c"), (KEYS..PARTS).collect(), "unmarked events wait for the stable version");
    }
}
