//! When a signing key is used and for how long others must know it.

use time::{Duration, OffsetDateTime};

/// How often each process reads the keys that are stored, at least.
pub const READ_EVERY: std::time::Duration = std::time::Duration::from_mins(5);
/// How long others may keep the keys that they fetched without asking again.
pub const CACHED_FOR: std::time::Duration = std::time::Duration::from_mins(5);
/// How long before its first use a key is published that an operator asks for: by then each process has read it
/// ([`READ_EVERY`]), and everybody has fetched it anew ([`CACHED_FOR`]; istiod, whatever it is told, every 20 minutes).
pub const ON_DEMAND_AHEAD: Duration = Duration::minutes(30);

/// How long keys live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rotation {
    /// How long a key signs before the next one takes over.
    pub every: Duration,
    /// How long before its first use a key is published: longer than others keep the keys that they fetched, so that
    /// whoever meets the first token of a key knows the key already.
    pub publish_ahead: Duration,
    /// How long after its last use a key stays published: longer than an access token lives.
    pub publish_after: Duration,
}

/// The moments from which the known keys sign, oldest first. A key signs until the next one does.
#[derive(Debug, Clone, Copy)]
pub struct Schedule<'a> {
    used_from: &'a [OffsetDateTime],
    rotation: Rotation,
}

impl<'a> Schedule<'a> {
    /// The schedule of keys that sign from these moments on, oldest first.
    pub fn new(used_from: &'a [OffsetDateTime], rotation: Rotation) -> Self {
        Self { used_from, rotation }
    }

    /// The index of the key that signs now: the youngest that is in use already. Where none is, all of them were made under
    /// a clock that was ahead, and the oldest, which others have known for longest, signs.
    pub fn current(&self, now: OffsetDateTime) -> Option<usize> {
        self.used_from.iter().rposition(|from| *from <= now).or((!self.used_from.is_empty()).then_some(0))
    }

    /// From when a key to be made now would sign; `None` while none is due.
    pub fn successor(&self, now: OffsetDateTime) -> Option<OffsetDateTime> {
        // Without any key nobody could log in; and nobody has fetched keys yet that could lack this one.
        let Some(youngest) = self.used_from.last() else {
            return Some(now);
        };
        let takeover = *youngest + self.rotation.every;
        let earliest = now + self.rotation.publish_ahead;
        // Made late (nothing ran at the time), it takes over late: to sign with a key that others do not know yet
        // would be worse than to sign with the old one for longer.
        (earliest >= takeover).then(|| takeover.max(earliest))
    }

    /// How many keys, oldest first, nobody needs any more: those whose successor has signed for long enough. Never the
    /// youngest, which has no successor.
    pub fn retired(&self, now: OffsetDateTime) -> usize {
        let successors = self.used_from.iter().skip(1);
        successors.take_while(|from| **from + self.rotation.publish_after <= now).count()
    }
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const START: OffsetDateTime = datetime!(2026-01-01 00:00 UTC);
    const ROTATION: Rotation =
        Rotation { every: Duration::days(30), publish_ahead: Duration::DAY, publish_after: Duration::HOUR };

    #[test]
    fn the_first_key_signs_at_once() {
        assert_eq!(Schedule::new(&[], ROTATION).successor(START), Some(START));
        assert_eq!(Schedule::new(&[], ROTATION).current(START), None);
    }

    #[test]
    fn a_key_of_a_clock_that_was_ahead_signs() {
        let keys = [START, START + Duration::days(30)];
        assert_eq!(Schedule::new(&keys, ROTATION).current(START - Duration::HOUR), Some(0));
    }

    #[test]
    fn a_successor_is_made_a_day_ahead() {
        let keys = [START];
        let schedule = Schedule::new(&keys, ROTATION);
        assert_eq!(schedule.successor(START + Duration::days(29) - Duration::SECOND), None);
        assert_eq!(schedule.successor(START + Duration::days(29)), Some(START + Duration::days(30)));
    }

    #[test]
    fn a_late_successor_is_published_a_day_ahead_all_the_same() {
        let now = START + Duration::days(45);
        let keys = [START, now + Duration::DAY];
        assert_eq!(Schedule::new(&keys[..1], ROTATION).successor(now), Some(keys[1]));
        assert_eq!(Schedule::new(&keys, ROTATION).current(now), Some(0));
        assert_eq!(Schedule::new(&keys, ROTATION).current(keys[1]), Some(1));
    }

    #[test]
    fn a_key_is_retired_an_hour_after_its_last_use() {
        let takeover = START + Duration::days(30);
        let keys = [START, takeover];
        let schedule = Schedule::new(&keys, ROTATION);
        assert_eq!(schedule.retired(takeover + Duration::HOUR - Duration::SECOND), 0);
        assert_eq!(schedule.retired(takeover + Duration::HOUR), 1);
        assert_eq!(Schedule::new(&keys[1..], ROTATION).retired(takeover + Duration::days(999)), 0);
    }
}
