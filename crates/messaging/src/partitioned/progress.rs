//! How far a group is in one partition, for brokers that keep that for us as a text: the mark is the oldest position that
//! is not settled, and what is written beside it says everything above.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

/// Positions above the oldest unsettled one that may be handed out. As a bitmap in hexadecimal digits it takes half of
/// what a broker lets metadata have (`offset.metadata.max.bytes`, 4096).
pub const WINDOW: u64 = 8_192;
/// Positions whose deliveries are remembered at most: of more, the counts of the last begin again.
const TRIED: usize = 128;
/// Deaths that are remembered; of more, the oldest count as one.
const DEATHS: usize = 32;
/// The version of the text.
const VERSION: &str = "1";

/// The state of a group in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// The oldest position that is not settled.
    mark: u64,
    /// What is settled above it.
    done: BTreeSet<u64>,
    /// How often what was tried has been delivered, where the last member could say.
    tried: BTreeMap<u64, u32>,
    /// Everything below may be in somebody's hands; nothing where this is not above the mark.
    reach: u64,
    /// How far the members reached that died: what they had not settled counts as delivered.
    deaths: Vec<u64>,
    /// What is being tried alone.
    alone: Option<u64>,
}

impl Progress {
    /// Nothing is settled from this position on.
    pub fn from(mark: u64) -> Self {
        Self { mark, ..Self::default() }
    }

    /// The oldest position that is not settled.
    pub fn mark(&self) -> u64 {
        self.mark
    }

    /// Whether a position is settled.
    pub fn is_done(&self, position: u64) -> bool {
        position < self.mark || self.done.contains(&position)
    }

    /// How many positions are settled, below the mark and above.
    pub fn settled(&self) -> u64 {
        self.mark + self.done.len() as u64
    }

    /// Which delivery of a position the next one is.
    pub fn next_delivery(&self, position: u64) -> u32 {
        let deaths = self.deaths.iter().filter(|reach| **reach > position).count();
        let tried = self.tried.get(&position).copied().unwrap_or_default();
        tried.saturating_add(u32::try_from(deaths).unwrap_or(u32::MAX)).saturating_add(1)
    }

    /// Settles a position.
    pub fn settle(&mut self, position: u64) {
        if position < self.mark {
            return;
        }
        self.tried.remove(&position);
        self.end_alone(position);
        self.done.insert(position);
        self.advance();
    }

    fn advance(&mut self) {
        while self.done.remove(&self.mark) {
            self.mark += 1;
        }
        let mark = self.mark;
        self.deaths.retain(|reach| *reach > mark);
    }

    /// Notes that the log holds nothing between: what was there is gone, or never was.
    pub fn skip(&mut self, from: u64, to: u64) {
        if from <= self.mark {
            self.done.retain(|position| *position >= to);
            self.tried.retain(|position, _| *position >= to);
            self.mark = self.mark.max(to);
        } else {
            self.done.extend(from..to);
        }
        self.advance();
    }

    /// Counts a delivery that has come to an end and is to be repeated.
    pub fn count(&mut self, position: u64) {
        self.end_alone(position);
        if self.tried.len() < TRIED || self.tried.contains_key(&position) {
            *self.tried.entry(position).or_default() += 1;
        }
    }

    /// Whether what stands below this position may be in hand, as far as the broker knows.
    pub fn reaches(&self, position: u64) -> bool {
        position < self.reach
    }

    /// Everything below may be in hand from now on.
    pub fn reach(&mut self, to: u64) {
        self.reach = self.reach.max(to);
    }

    /// Nothing is in hand any more: who leaves has not died of what was to be tried last.
    pub fn give_back(&mut self) {
        (self.reach, self.alone) = (0, None);
    }

    /// Notes that a position is about to be tried alone.
    pub fn try_alone(&mut self, position: u64) {
        self.alone = Some(position);
    }

    /// Notes that a position is not being tried alone any more.
    pub fn end_alone(&mut self, position: u64) {
        self.alone = self.alone.filter(|alone| *alone != position);
    }

    /// Takes over from whoever has left this. Returns what they were trying alone when they died.
    pub fn take_over(&mut self) -> Option<u64> {
        let alone = self.alone.take().filter(|position| !self.is_done(*position));
        if self.reach > self.mark {
            self.deaths.push(self.reach);
            if self.deaths.len() > DEATHS {
                self.deaths.remove(0);
            }
        }
        self.reach = 0;
        alone
    }

    /// What is written beside the mark.
    pub fn metadata(&self) -> String {
        let above = |position: u64| position.saturating_sub(self.mark);
        let mut text = format!("{VERSION};");
        for digit in 0..self.done.last().map_or(0, |last| above(*last) / 4 + 1) {
            let bits = (0..4).filter(|bit| self.done.contains(&(self.mark + digit * 4 + bit)));
            let digit: u32 = bits.map(|bit| 1 << bit).sum();
            text.extend(char::from_digit(digit, 16));
        }
        let mut list = |items: &mut dyn Iterator<Item = (u64, u32)>| {
            text.push(';');
            for (position, count) in items {
                let _ = write!(text, "{:x}.{count:x},", above(position)); // text takes everything
            }
        };
        list(&mut self.tried.iter().map(|(position, count)| (*position, *count)));
        list(&mut self.deaths.iter().map(|reach| (*reach, 1)));
        list(&mut Some(self.reach).filter(|reach| *reach > self.mark).map(|reach| (reach, 1)).into_iter());
        list(&mut self.alone.map(|position| (position, 1)).into_iter());
        text
    }

    /// Reads what was committed; metadata that are none of ours say nothing above the mark.
    pub fn parse(mark: u64, metadata: &str) -> Self {
        Self::read(mark, metadata).unwrap_or_else(|| Self::from(mark))
    }

    fn read(mark: u64, metadata: &str) -> Option<Self> {
        let fields: Vec<&str> = metadata.split(';').collect();
        let [VERSION, bitmap, tried, deaths, reach, alone] = fields[..] else { return None };
        let mut done = BTreeSet::new();
        for (place, digit) in (0_u64..).zip(bitmap.chars()) {
            let digit = digit.to_digit(16)?;
            done.extend((0..4).filter(|bit| digit & (1 << bit) != 0).map(|bit| mark + place * 4 + bit));
        }
        let list = |text: &str| -> Option<Vec<(u64, u32)>> {
            let item = |item: &str| {
                let (above, count) = item.split_once('.')?;
                let position = mark.checked_add(u64::from_str_radix(above, 16).ok()?)?;
                Some((position, u32::from_str_radix(count, 16).ok()?))
            };
            text.split_terminator(',').map(item).collect()
        };
        let first = |text: &str| Some(list(text)?.first().map(|(position, _)| *position));
        let mut progress = Self {
            mark,
            done,
            tried: list(tried)?.into_iter().collect(),
            reach: first(reach)?.unwrap_or_default(),
            deaths: list(deaths)?.into_iter().map(|(position, _)| position).collect(),
            alone: first(alone)?,
        };
        progress.advance();
        Some(progress)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_mark_is_the_oldest_that_is_not_settled() {
        let mut progress = Progress::from(5);
        progress.settle(6);
        progress.settle(8);
        assert_eq!((progress.mark(), progress.settled()), (5, 7));
        progress.settle(5);
        assert_eq!((progress.mark(), progress.settled()), (7, 8));
        assert!(progress.is_done(6) && !progress.is_done(7) && progress.is_done(8));
        progress.skip(7, 12);
        assert_eq!((progress.mark(), progress.settled()), (12, 12));
    }

    #[test]
    fn what_a_dead_member_reached_counts_as_delivered() {
        let mut progress = Progress::from(0);
        progress.reach(3);
        progress.settle(1);
        progress.count(2);
        let mut next = Progress::parse(progress.mark(), &progress.metadata());
        assert_eq!(next.take_over(), None);
        assert_eq!([0, 2, 3].map(|position| next.next_delivery(position)), [2, 3, 1]);
        next.reach(3);
        next.give_back();
        assert_eq!(next.take_over(), None);
        assert_eq!(next.next_delivery(0), 2, "who gives back has not died");
    }

    #[test]
    fn what_was_tried_alone_is_told_to_the_next_member_once() {
        let mut progress = Progress::from(0);
        progress.reach(9);
        progress.try_alone(4);
        let mut next = Progress::parse(0, &progress.metadata());
        assert_eq!((next.take_over(), next.take_over()), (Some(4), None));
        progress.give_back();
        let mut next = Progress::parse(0, &progress.metadata());
        assert_eq!(next.take_over(), None, "who gives back has not tried it to the end");
        progress.settle(4);
        assert_eq!(Progress::parse(0, &progress.metadata()).take_over(), None);
    }

    #[test]
    fn the_worst_case_fits_into_what_a_broker_takes() {
        let mut progress = Progress::from(1 << 40);
        let at = |above: u64| (1 << 40) + above;
        (1..WINDOW).step_by(2).for_each(|above| progress.settle(at(above)));
        for above in (0..WINDOW).step_by(2) {
            (0..20).for_each(|_| progress.count(at(above)));
        }
        for above in 1..=40 {
            progress.reach(at(WINDOW - above));
            progress.take_over();
        }
        progress.reach(at(WINDOW));
        progress.try_alone(at(WINDOW - 2));
        assert!(progress.metadata().len() < 4_096, "{}", progress.metadata().len());
        assert_eq!(Progress::parse(at(0), &progress.metadata()), progress);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            mark in 0_u64..1 << 50, done in proptest::collection::btree_set(1_u64..WINDOW, 0..99),
            tried in proptest::collection::btree_map(0_u64..WINDOW, 1_u32..99, 0..9),
        ) {
            let mut progress = Progress::from(mark);
            for above in &done {
                progress.settle(mark + above);
            }
            progress.tried = tried.iter().map(|(above, count)| (mark + above, *count)).collect();
            progress.reach(mark + 77);
            prop_assert_eq!(Progress::parse(mark, &progress.metadata()), progress);
        }

        #[test]
        fn what_others_wrote_is_no_harm(text in prop_oneof!["\\PC{0,40}", "1;[0-9a-f]{0,4};[0-9a-f.,]{0,9};;[0-9a-f.,]{0,9};"]) {
            let progress = Progress::parse(7, &text);
            prop_assert!(progress.mark() >= 7);
        }
    }
}
