//! Reading the log past all groups: for what has to reach every process, such as the sockets that it holds.

use std::{fmt, str::FromStr};

use async_trait::async_trait;

use crate::{Error, Event};

/// More partitions than this are no cursor of ours.
const MAX_PARTITIONS: usize = 256;

/// Reads the log from a position on and takes nothing from anybody; the broker keeps nothing of it when it is gone.
///
/// It survives the broker's outages: after an error the same tail goes on where it was. What the log has lost meanwhile
/// is a [`Tailed::Gap`].
#[async_trait]
pub trait Tail: Send {
    /// Waits for the next event. Cancel safe: nothing is lost when it is dropped.
    ///
    /// # Errors
    /// [`Error::Unavailable`] while the broker does not answer; the next call tries again at once.
    async fn next(&mut self) -> Result<Tailed, Error>;

    /// Up to where it has read, what [`Self::next`] has returned last included; at first where it begins.
    fn cursor(&self) -> &Cursor;
}

/// What a [`Tail`] reads.
#[derive(Clone, Debug)]
pub enum Tailed {
    /// An event and where it stands. Events of one key come in the order they were published in.
    Event(Position, Box<Event>),
    /// Events are missing here: the log is another one, or no longer keeps what came next. It goes on at
    /// [`Tail::cursor`].
    Gap,
}

/// Where an event stands in its log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The log's partition; 0 where it has one.
    pub partition: usize,
    /// Its number there, from 1 on.
    pub offset: u64,
}

/// Up to where a log has been read: the same for every reader, in any process.
///
/// As text it is words of letters and digits with `-` between them.
///
/// ```
/// # use messaging::{Cursor, Position};
/// let mut cursor = Cursor::new(7, [40]);
/// assert!(cursor.covers(Position { partition: 0, offset: 40 }));
/// cursor.advance(Position { partition: 0, offset: 43 });
/// assert_eq!(cursor.to_string().parse(), Ok(cursor));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    log: u64,
    /// The last offset that was read, by partition; what is missing is 0.
    offsets: Vec<u64>,
}

impl Cursor {
    /// Nothing of a log but what comes before and at these offsets, by partition. `log` tells one log from another that was
    /// made in its place.
    pub fn new(log: u64, offsets: impl IntoIterator<Item = u64>) -> Self {
        Self { log, offsets: offsets.into_iter().collect() }
    }

    /// Which log it is of.
    pub fn log(&self) -> u64 {
        self.log
    }

    /// The last offset of a partition that was read.
    pub fn offset(&self, partition: usize) -> u64 {
        self.offsets.get(partition).copied().unwrap_or_default()
    }

    /// Whether an event of the same log has been read.
    pub fn covers(&self, position: Position) -> bool {
        position.offset <= self.offset(position.partition)
    }

    /// Whether all that the other has read has been read; never where it is of another log.
    pub fn includes(&self, other: &Self) -> bool {
        let all = |(partition, offset): (usize, &u64)| *offset <= self.offset(partition);
        self.log == other.log && other.offsets.iter().enumerate().all(all)
    }

    /// Notes that an event has been read.
    pub fn advance(&mut self, position: Position) {
        if self.offsets.len() <= position.partition {
            self.offsets.resize(position.partition + 1, 0);
        }
        self.offsets[position.partition] = position.offset;
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", self.log)?;
        self.offsets.iter().try_for_each(|offset| write!(f, "-{offset:x}"))
    }
}

/// The text is no cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cursor of a log")]
pub struct NoCursor;

impl FromStr for Cursor {
    type Err = NoCursor;

    fn from_str(text: &str) -> Result<Self, NoCursor> {
        let number = |word: &str| {
            let digits = !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'));
            u64::from_str_radix(word, 16).ok().filter(|_| digits).ok_or(NoCursor)
        };
        let mut words = text.split('-');
        let log = words.next().map(number).ok_or(NoCursor)??;
        let offsets = words.take(MAX_PARTITIONS + 1).map(number).collect::<Result<Vec<_>, _>>()?;
        if offsets.len() > MAX_PARTITIONS { Err(NoCursor) } else { Ok(Self { log, offsets }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_taken_for_a_cursor_says_the_same_again(text in prop_oneof!["[0-9a-f-]{0,80}", "\\PC{0,40}"]) {
            if let Ok(cursor) = text.parse::<Cursor>() {
                prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
            }
        }
    }

    #[test]
    fn a_cursor_knows_what_was_read() {
        let mut cursor = Cursor::new(1, [5]);
        cursor.advance(Position { partition: 2, offset: 9 });
        let read = |partition, offset| cursor.covers(Position { partition, offset });
        assert_eq!([read(0, 5), read(0, 6), read(1, 1), read(2, 9), read(3, 1)], [true, false, false, true, false]);
        assert!(cursor.includes(&Cursor::new(1, [5])) && cursor.includes(&Cursor::new(1, [0, 0, 9])));
        assert!(!cursor.includes(&Cursor::new(1, [5, 1])) && !cursor.includes(&Cursor::new(2, [1])));
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        assert_eq!("ff-1-0-a".parse(), Ok(Cursor::new(255, [1, 0, 10])));
        let long = format!("1{}", "-1".repeat(MAX_PARTITIONS + 1));
        for bad in ["", "-", "1-", "-1", "x", "1-+2", "1--2", "FF", "1-11112222333344445", &long] {
            assert_eq!(bad.parse::<Cursor>(), Err(NoCursor), "{bad}");
        }
    }
}
