//! The last events, for those who have missed some.

use std::collections::VecDeque;

use bytes::Bytes;
use messaging::Cursor;

use super::{LiveEvent, Owner};

/// Events that are kept at most, and their bytes.
pub(super) const MAX_EVENTS: usize = 8_192;
const MAX_BYTES: usize = 4 << 20;

/// The events between two cursors.
#[derive(Debug)]
pub(super) struct Window {
    events: VecDeque<LiveEvent>,
    bytes: usize,
    /// All after this is kept.
    floor: Cursor,
    read: Cursor,
}

/// What came after a cursor.
pub(super) enum Since {
    /// This.
    Known(Vec<Bytes>),
    /// The cursor is ahead of what has come here.
    Ahead,
    /// It is not known any more, or the cursor is of another log.
    Lost,
}

impl Window {
    pub(super) fn new(cursor: Cursor) -> Self {
        Self { events: VecDeque::new(), bytes: 0, floor: cursor.clone(), read: cursor }
    }

    /// Up to where it goes.
    pub(super) fn read(&self) -> &Cursor {
        &self.read
    }

    pub(super) fn push(&mut self, event: LiveEvent, read: Cursor) {
        self.bytes += event.payload.len();
        self.events.push_back(event);
        self.read = read;
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else { return };
            self.bytes -= oldest.payload.len();
            self.floor.advance(oldest.position);
        }
    }

    pub(super) fn since(&self, cursor: &Cursor, owner: Owner) -> Since {
        if !cursor.includes(&self.floor) {
            return Since::Lost;
        }
        if !self.read.includes(cursor) {
            return Since::Ahead;
        }
        let concerns = |event: &&LiveEvent| match owner {
            Owner::All => true,
            Owner::User(user) => event.user == user,
        };
        let missed = self.events.iter().filter(|event| !cursor.covers(event.position)).filter(concerns);
        Since::Known(missed.map(|event| event.payload.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use messaging::Position;
    use uuid::Uuid;

    use super::*;
    use crate::domain::ids::UserId;

    fn push(window: &mut Window, user: UserId, offset: u64, size: usize) {
        let position = Position { partition: 0, offset };
        let mut read = window.read().clone();
        read.advance(position);
        window.push(LiveEvent { user, position, payload: vec![b'x'; size].into() }, read);
    }

    fn known(since: Since) -> usize {
        let Since::Known(missed) = since else { panic!("not known") };
        missed.len()
    }

    #[test]
    fn what_was_missed_is_known_while_it_is_kept() {
        let (ada, bob) = (UserId(Uuid::from_u128(1)), UserId(Uuid::from_u128(2)));
        let mut window = Window::new(Cursor::new(7, [10]));
        for offset in 11..=20 {
            push(&mut window, if offset % 2 == 0 { ada } else { bob }, offset, 1);
        }
        let since = |offset, owner| window.since(&Cursor::new(7, [offset]), owner);
        assert_eq!(
            [known(since(10, Owner::All)), known(since(15, Owner::All)), known(since(20, Owner::All))],
            [10, 5, 0]
        );
        assert_eq!(known(since(15, Owner::User(ada))), 3);
        assert!(matches!(since(9, Owner::All), Since::Lost));
        assert!(matches!(since(21, Owner::All), Since::Ahead));
        assert!(matches!(window.since(&Cursor::new(8, [15]), Owner::All), Since::Lost), "another log");
    }

    #[test]
    fn it_has_bounds() {
        let user = UserId(Uuid::from_u128(1));
        let mut window = Window::new(Cursor::new(7, [0]));
        for offset in 1..=10_000 {
            push(&mut window, user, offset, 1);
        }
        let oldest = 10_000 - MAX_EVENTS as u64;
        assert_eq!(known(window.since(&Cursor::new(7, [oldest]), Owner::All)), MAX_EVENTS);
        assert!(matches!(window.since(&Cursor::new(7, [oldest - 1]), Owner::All), Since::Lost));
        for offset in 10_001..=10_010 {
            push(&mut window, user, offset, 1 << 20);
        }
        assert!(window.bytes <= MAX_BYTES && window.events.len() == 4, "{} events", window.events.len());
    }
}
