//! What a member has read, by key: only the first of a key is handed out, and the others wait behind it.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use tokio::time::Instant;

use super::entry::Tried;
use crate::{Delivery, Event, Tag};

/// An event that waits or is in hand.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) part: u16,
    pub(super) place: u64,
    pub(super) attempts: u32,
    pub(super) replays: u32,
    /// Whether its attempts have to be written down before it is handed out: it may be what killed the last member.
    pub(super) suspect: bool,
    pub(super) event: Event,
}

#[derive(Debug)]
struct Lane {
    queue: VecDeque<Waiting>,
    head: Head,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Head {
    Ready,
    /// Waits for its next try.
    Later(Instant),
    /// With a handler, until its lease ends.
    Held {
        fence: i64,
        until: Instant,
    },
}

/// The lanes of one member.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    by_key: HashMap<String, Lane>,
    /// Keys whose head can be handed out, each once.
    ready: VecDeque<String>,
    /// When a head changes by itself.
    timers: BTreeSet<(Instant, String)>,
    held: HashMap<i64, String>,
    fence: i64,
    len: usize,
}

impl Lanes {
    /// How many events are here.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether no event of this part and key is here.
    pub(super) fn is_free(&self, part: u16, key: &str) -> bool {
        self.by_key.get(key).is_none_or(|lane| lane.queue.iter().all(|waiting| waiting.part != part))
    }

    /// Adds an event that was read behind all others of its key.
    pub(super) fn push(&mut self, waiting: Waiting) {
        self.len += 1;
        let key = waiting.event.key.clone();
        if let Some(lane) = self.by_key.get_mut(&key) {
            lane.queue.push_back(waiting);
        } else {
            self.by_key.insert(key.clone(), Lane { queue: VecDeque::from([waiting]), head: Head::Ready });
            self.ready.push_back(key);
        }
    }

    /// When a head changes next by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Hands out heads, each for the length of the lease.
    pub(super) fn take(&mut self, max: usize, now: Instant, lease: Duration) -> Vec<(Delivery, bool)> {
        self.wake(now);
        let mut taken = Vec::new();
        while taken.len() < max
            && let Some(key) = self.ready.pop_front()
        {
            let Some(lane) = self.by_key.get_mut(&key).filter(|lane| lane.head == Head::Ready) else { continue };
            let Some(first) = lane.queue.front_mut() else { continue };
            self.fence += 1;
            first.attempts += 1;
            let tag = Tag { position: first.place.cast_signed(), fence: self.fence };
            taken.push((Delivery { event: first.event.clone(), attempt: first.attempts, tag }, first.suspect));
            first.suspect = false;
            lane.head = Head::Held { fence: self.fence, until: now + lease };
            self.timers.insert((now + lease, key.clone()));
            self.held.insert(self.fence, key);
        }
        taken
    }

    /// Makes heads ready whose time has come, also those that a handler has forgotten.
    fn wake(&mut self, now: Instant) {
        while let Some((at, key)) = self.timers.first().cloned()
            && at <= now
        {
            self.timers.pop_first();
            self.end(&key, at);
        }
    }

    fn end(&mut self, key: &str, at: Instant) {
        let Some(lane) = self.by_key.get_mut(key) else { return };
        match lane.head {
            Head::Held { fence, until } if until == at => drop(self.held.remove(&fence)),
            Head::Later(then) if then == at => {}
            _ => return, // the timer of a lane that is gone
        }
        lane.head = Head::Ready;
        self.ready.push_back(key.to_owned());
    }

    /// The event that a delivery is of, while it is in the hands of whoever has that delivery.
    pub(super) fn held(&self, tag: Tag, now: Instant) -> Option<&Waiting> {
        let lane = self.by_key.get(self.held.get(&tag.fence)?)?;
        let Head::Held { fence, until } = lane.head else { return None };
        lane.queue
            .front()
            .filter(|first| fence == tag.fence && until > now && first.place.cast_signed() == tag.position)
    }

    /// Renews the lease on a delivery.
    pub(super) fn extend(&mut self, tag: Tag, until: Instant) {
        self.set(tag, Head::Held { fence: tag.fence, until }, Some(until));
    }

    /// Has it tried again at that time; as if it had not been delivered where `uncount`.
    pub(super) fn retry(&mut self, tag: Tag, at: Instant, uncount: bool) {
        let Some(key) = self.set(tag, Head::Later(at), Some(at)) else { return };
        self.held.remove(&tag.fence);
        if let Some(first) = self.by_key.get_mut(&key).and_then(|lane| lane.queue.front_mut()) {
            first.attempts -= u32::from(uncount);
        }
    }

    /// Takes the event of a delivery away; the next of its key is ready.
    pub(super) fn remove(&mut self, tag: Tag) {
        let Some(key) = self.set(tag, Head::Ready, None) else { return };
        self.held.remove(&tag.fence);
        let Some(lane) = self.by_key.get_mut(&key) else { return };
        lane.queue.pop_front();
        self.len -= 1;
        if lane.queue.is_empty() {
            self.by_key.remove(&key);
        } else {
            self.ready.push_back(key);
        }
    }

    fn set(&mut self, tag: Tag, head: Head, timer: Option<Instant>) -> Option<String> {
        let key = self.held.get(&tag.fence)?.clone();
        let lane = self.by_key.get_mut(&key)?;
        if let Head::Held { until, .. } = lane.head {
            self.timers.remove(&(until, key.clone()));
        }
        lane.head = head;
        self.timers.extend(timer.map(|at| (at, key.clone())));
        Some(key)
    }

    /// Forgets what waits of a part; what is in hand stays until it is settled.
    pub(super) fn drain(&mut self, part: u16) {
        self.retain(part, true);
    }

    /// Forgets everything of a part.
    pub(super) fn forget(&mut self, part: u16) {
        self.retain(part, false);
    }

    /// Takes the events of a part out of their lanes, without those in hand where `keep_held`. A lane may have events
    /// of a key's other part as well, that of marked ones.
    fn retain(&mut self, part: u16, keep_held: bool) {
        self.by_key.retain(|key, lane| {
            let before = lane.queue.len();
            let held = matches!(lane.head, Head::Held { .. });
            let keep_first = held && keep_held;
            let first_goes = lane.queue.front().is_some_and(|first| first.part == part) && !keep_first;
            let mut place = 0..;
            lane.queue.retain(|waiting| place.next() == Some(0) && keep_first || waiting.part != part);
            self.len -= before - lane.queue.len();
            if first_goes {
                if let Head::Held { fence, .. } = lane.head {
                    self.held.remove(&fence);
                }
                if lane.head != Head::Ready && !lane.queue.is_empty() {
                    self.ready.push_back(key.clone());
                }
                lane.head = Head::Ready;
            }
            !lane.queue.is_empty()
        });
    }

    /// Events of a part that are in hand.
    pub(super) fn in_hand(&self, part: u16, now: Instant) -> usize {
        let of = |lane: &Lane| lane.queue.front().is_some_and(|first| first.part == part);
        let held = |lane: &Lane| matches!(lane.head, Head::Held { until, .. } if until > now);
        self.held.values().filter_map(|key| self.by_key.get(key)).filter(|lane| of(lane) && held(lane)).count()
    }

    /// How all events of a part have been tried.
    pub(super) fn tried(&self, part: u16) -> impl Iterator<Item = (u64, Tried)> {
        self.by_key.values().flat_map(move |lane| {
            let held = matches!(lane.head, Head::Held { .. });
            let tried = move |(n, waiting): (usize, &Waiting)| {
                (waiting.place, Tried { attempts: waiting.attempts, held: held && n == 0 })
            };
            lane.queue.iter().enumerate().filter(move |(_, waiting)| waiting.part == part).map(tried)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEASE: Duration = Duration::from_secs(5);

    /// Events of one key, each of a part: 1 is the part of unmarked events, 17 that of marked ones.
    fn lanes(parts: &[u16]) -> Lanes {
        let mut lanes = Lanes::default();
        for (place, part) in (1..).zip(parts) {
            let event = Event::new("thing.happened.v1", "test", "key", clock::system().now(), place).unwrap();
            lanes.push(Waiting { part: *part, place, attempts: 0, replays: 0, suspect: false, event });
        }
        lanes
    }

    fn take(lanes: &mut Lanes) -> Vec<Tag> {
        lanes.take(9, Instant::now(), LEASE).into_iter().map(|(delivery, _)| delivery.tag).collect()
    }

    #[test]
    fn a_part_that_is_drained_leaves_the_other_parts_events() {
        let mut lanes = lanes(&[1, 17, 1, 17]);
        let held = take(&mut lanes)[0];
        lanes.drain(17);
        assert_eq!((lanes.len(), lanes.in_hand(1, Instant::now())), (2, 1));
        lanes.drain(1);
        assert_eq!(lanes.len(), 1, "what is in hand stays");
        assert!(take(&mut lanes).is_empty());
        lanes.remove(held);
        assert_eq!(lanes.len(), 0);
    }

    #[test]
    fn behind_a_head_that_goes_the_other_parts_event_is_ready() {
        for in_hand in [true, false] {
            let mut lanes = lanes(&[1, 1, 17]);
            let held = take(&mut lanes)[0];
            if in_hand {
                lanes.forget(1);
            } else {
                lanes.retry(held, Instant::now() + LEASE, false);
                lanes.drain(1);
            }
            assert!(lanes.held(held, Instant::now()).is_none());
            assert_eq!(lanes.len(), 1);
            let places: Vec<i64> = take(&mut lanes).iter().map(|tag| tag.position).collect();
            assert_eq!(places, [3], "once, and at once");
            assert!(lanes.is_free(1, "key") && !lanes.is_free(17, "key"));
        }
    }
}
