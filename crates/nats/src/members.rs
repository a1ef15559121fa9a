//! Who is in a group, and which partitions each member reads.
//!
//! Members tell each other that they live, and each works out the same assignment from that. It only spreads the work:
//! a member that is wrong about the others asks for partitions in vain, because the server gives a partition to one
//! reader at a time, or leaves some to nobody until the next heartbeat.

use std::{
    collections::{BTreeSet, HashMap},
    ops::RangeInclusive,
    time::Duration,
};

use messaging::{Error, Track};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::names::{KEYS, PARTITIONS};

/// Leases that are believed: anything else is a mistake of whoever says it, and would stop all others or stay for ever.
const LEASES: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_mins(10);
/// Members that are remembered at most: far more than there are partitions to read.
const MAX_MEMBERS: usize = 256;

/// What a member says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    id: String,
    canary: bool,
    kinds: BTreeSet<String>,
    /// Milliseconds: not heard of for so long, it is gone.
    lease: u64,
    leaving: bool,
}

impl Heartbeat {
    fn lease(&self) -> Duration {
        Duration::from_millis(self.lease)
    }
}

/// The members of a group, as one of them knows them.
pub(crate) struct Members {
    own: Heartbeat,
    others: HashMap<String, (Heartbeat, Instant)>,
}

impl Members {
    pub(crate) fn new(id: String, track: Track, kinds: &[String], lease: Duration) -> Self {
        let kinds = kinds.iter().cloned().collect();
        let lease = u64::try_from(lease.as_millis()).unwrap_or(u64::MAX);
        let own = Heartbeat { id, canary: track == Track::Canary, kinds, lease, leaving: false };
        Self { own, others: HashMap::new() }
    }

    /// What to tell the others.
    pub(crate) fn heartbeat(&self, leaving: bool) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(&Heartbeat { leaving, ..self.own.clone() }).map_err(Error::Encode)
    }

    /// Takes note of a heartbeat; says whether it changes who is there.
    pub(crate) fn hear(&mut self, payload: &[u8], now: Instant) -> bool {
        let Ok(heartbeat) = serde_json::from_slice::<Heartbeat>(payload) else { return false };
        if heartbeat.id == self.own.id || !LEASES.contains(&heartbeat.lease()) {
            return false;
        }
        if heartbeat.leaving {
            return self.others.remove(&heartbeat.id).is_some();
        }
        if self.others.len() >= MAX_MEMBERS && !self.others.contains_key(&heartbeat.id) {
            return false;
        }
        self.others.insert(heartbeat.id.clone(), (heartbeat, now)).is_none()
    }

    /// The shortest lease of all: all go by it.
    pub(crate) fn lease(&self) -> Duration {
        self.others.values().map(|(other, _)| other.lease()).fold(self.own.lease(), Duration::min)
    }

    /// The partitions that this member reads.
    pub(crate) fn assignment(&mut self, now: Instant) -> BTreeSet<u16> {
        self.others.retain(|_, (other, heard)| *heard + other.lease() > now);
        let all: Vec<&Heartbeat> = self.others.values().map(|(other, _)| other).chain([&self.own]).collect();
        let on = |canary: bool| able(all.iter().copied().filter(|member| member.canary == canary));
        let (stable, mut canaries) = (on(false), on(true));
        if canaries.is_empty() {
            // The same hands for both kinds of a key's events.
            canaries.clone_from(&stable);
        }
        let (stable, canaries) = (owners(&stable), owners(&canaries));
        let owner = |partition: u16| match partition.checked_sub(KEYS) {
            None => stable.get(usize::from(partition)),
            Some(partition) => canaries.get(usize::from(partition)),
        };
        (0..PARTITIONS).filter(|partition| owner(*partition).is_some_and(|owner| *owner == self.own.id)).collect()
    }
}

/// Those who handle every kind that one of them handles, or all where nobody does: during an update no event comes to a
/// version that does not know it while another one does.
fn able<'a>(members: impl Iterator<Item = &'a Heartbeat>) -> Vec<&'a str> {
    let members: Vec<&Heartbeat> = members.collect();
    let kinds: BTreeSet<&String> = members.iter().flat_map(|member| &member.kinds).collect();
    let complete = members.iter().filter(|member| member.kinds.len() == kinds.len());
    let mut ids: Vec<&str> = complete.map(|member| member.id.as_str()).collect();
    if ids.is_empty() {
        ids = members.iter().map(|member| member.id.as_str()).collect();
    }
    ids.sort_unstable();
    ids
}

/// Who reads each partition of the keys: the member with the highest weight for it among those that do not have their
/// share yet, so that little moves when somebody comes or goes. (Thaler, Ravishankar, "Using name-based mappings to
/// increase hit rates", 1998, with a bound on the load.)
fn owners<'a>(members: &[&'a str]) -> Vec<&'a str> {
    if members.is_empty() {
        return Vec::new();
    }
    let most = usize::from(KEYS).div_ceil(members.len());
    let mut load: HashMap<&str, usize> = HashMap::new();
    let owner = |partition: u16| {
        let free = members.iter().filter(|member| load.get(**member).is_none_or(|load| *load < most));
        let best = free.max_by_key(|member| weight(member, partition)).copied().unwrap_or(members[0]);
        *load.entry(best).or_default() += 1;
        best
    };
    (0..KEYS).map(owner).collect()
}

/// FNV-1a, 64 bits (RFC 9923), mixed by the finalizer of `MurmurHash3`: the same in every process and version.
fn weight(member: &str, partition: u16) -> u64 {
    let bytes = member.bytes().chain(partition.to_be_bytes());
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let mixed = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let mixed = (mixed ^ (mixed >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    mixed ^ (mixed >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    fn member(id: &str, track: Track, kinds: &[&str]) -> Members {
        let kinds: Vec<String> = kinds.iter().map(|kind| (*kind).to_owned()).collect();
        Members::new(id.to_owned(), track, &kinds, LEASE)
    }

    /// Has each hear of each, and returns what each reads.
    fn assignments(members: &mut [Members], now: Instant) -> Vec<BTreeSet<u16>> {
        let heartbeats: Vec<_> = members.iter().map(|member| member.heartbeat(false).unwrap()).collect();
        for member in members.iter_mut() {
            for heartbeat in &heartbeats {
                member.hear(heartbeat, now);
            }
        }
        members.iter_mut().map(|member| member.assignment(now)).collect()
    }

    fn all(assignments: &[BTreeSet<u16>]) -> Vec<u16> {
        let mut all: Vec<u16> = assignments.iter().flatten().copied().collect();
        all.sort_unstable();
        all
    }

    #[test]
    fn each_partition_is_read_by_one_and_evenly() {
        for count in [1_usize, 2, 3, 5, 16, 20] {
            let mut members: Vec<_> =
                (0..count).map(|n| member(&format!("member {n}"), Track::Stable, &["a"])).collect();
            let assignments = assignments(&mut members, Instant::now());
            assert_eq!(all(&assignments), (0..PARTITIONS).collect::<Vec<_>>(), "{count}");
            let most = 2 * usize::from(KEYS).div_ceil(count);
            assert!(assignments.iter().all(|of| of.len() <= most), "{assignments:?}");
            let pairs = |of: &BTreeSet<u16>| (0..KEYS).all(|n| of.contains(&n) == of.contains(&(n + KEYS)));
            assert!(assignments.iter().all(pairs), "both kinds of a key's events are in the same hands");
        }
    }

    #[test]
    fn a_canary_reads_what_is_marked_until_it_is_not_heard_of() {
        let now = Instant::now();
        let mut members = [member("a", Track::Stable, &["a"]), member("b", Track::Canary, &["a"])];
        let read = assignments(&mut members, now);
        assert_eq!(read, [(0..KEYS).collect::<BTreeSet<_>>(), (KEYS..PARTITIONS).collect()]);
        assert_eq!(members[0].assignment(now + LEASE), (0..PARTITIONS).collect());
    }

    #[test]
    fn who_leaves_is_gone_at_once() {
        let now = Instant::now();
        let mut members = [member("a", Track::Stable, &["a"]), member("b", Track::Stable, &["a"])];
        assert_eq!(assignments(&mut members, now)[0].len(), usize::from(KEYS));
        let leaving = members[1].heartbeat(true).unwrap();
        assert!(members[0].hear(&leaving, now) && !members[0].hear(&leaving, now));
        assert_eq!(members[0].assignment(now), (0..PARTITIONS).collect());
    }

    #[test]
    fn what_only_one_version_handles_does_not_come_to_the_other() {
        let kinds: [&[&str]; 3] = [&["a"], &["a", "b"], &["a", "b"]];
        let members = kinds.iter().zip(["old", "new", "newer"]);
        let mut members: Vec<_> = members.map(|(kinds, id)| member(id, Track::Stable, kinds)).collect();
        let read = assignments(&mut members, Instant::now());
        assert_eq!((read[0].len(), read[1].len(), read[2].len()), (0, 16, 16));
        let mut members = [member("one", Track::Stable, &["a", "b"]), member("other", Track::Stable, &["b", "c"])];
        let read = assignments(&mut members, Instant::now());
        assert_eq!((read[0].len(), read[1].len()), (16, 16), "where nobody handles all, all work");
    }

    #[test]
    fn a_heartbeat_that_nobody_should_send_changes_nothing() {
        let now = Instant::now();
        let mut member = member("a", Track::Stable, &["a"]);
        for lease in [0, 1, u64::MAX] {
            let own = Heartbeat { id: format!("of {lease} ms"), lease, ..member.own.clone() };
            assert!(!member.hear(&serde_json::to_vec(&own).unwrap(), now), "{lease}");
        }
        assert!(!member.hear(b"{", now));
        for n in 0..2 * MAX_MEMBERS {
            let own = Heartbeat { id: format!("stranger {n}"), ..member.own.clone() };
            member.hear(&serde_json::to_vec(&own).unwrap(), now);
        }
        assert_eq!((member.others.len(), member.lease()), (MAX_MEMBERS, LEASE));
        assert_eq!(member.assignment(now + LEASE), (0..PARTITIONS).collect());
    }

    #[test]
    fn little_moves_when_somebody_comes() {
        let ids: Vec<String> = (0..5).map(|n| format!("member {n}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (before, after) = (owners(&ids[..4]), owners(&ids));
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after).count();
        assert!(moved <= 8, "{moved} of 16 moved");
    }
}
