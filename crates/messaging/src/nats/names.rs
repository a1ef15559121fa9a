//! What things are called on the server.

use crate::{Error, Event, part};

/// Parts of the keys, each read by one member of a group at a time: so at most as many members of a group work at the
/// same time. Fixed for the life of a stream; the work inside a part is not serial, only that of a key is.
pub(super) const KEYS: u16 = 16;
/// All parts: events that are marked for the canary have parts of their own, which come after those of the others.
pub(super) const PARTS: u16 = 2 * KEYS;

/// The part of an event.
pub(super) fn part_of(event: &Event) -> u16 {
    part::of(&event.key, KEYS) + if event.carrier.canary { KEYS } else { 0 }
}

/// Names under a prefix, so that several systems can share a server.
#[derive(Clone, Debug)]
pub(super) struct Names(String);

impl Names {
    pub(super) fn new(prefix: &str) -> Result<Self, Error> {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if prefix.is_empty() || !prefix.chars().all(plain) {
            return Err(Error::Address("prefix may hold letters, digits, `-` and `_`".to_owned()));
        }
        Ok(Self(prefix.to_owned()))
    }

    /// The stream of all events.
    pub(super) fn events(&self) -> String {
        format!("{}-events", self.0)
    }

    /// The stream of dead letters.
    pub(super) fn dead(&self) -> String {
        format!("{}-dead", self.0)
    }

    /// The bucket of the groups' places.
    pub(super) fn groups(&self) -> String {
        format!("{}-groups", self.0)
    }

    /// What [`Self::events`] listens to.
    pub(super) fn all_events(&self) -> Vec<String> {
        vec![format!("{}.event.>", self.0), format!("{}.replay.>", self.0)]
    }

    /// What [`Self::dead`] listens to.
    pub(super) fn all_dead(&self) -> String {
        format!("{}.dead.>", self.0)
    }

    /// Events of a kind; of one part or of all.
    pub(super) fn event(&self, part: Option<u16>, kind: &str) -> String {
        part.map_or_else(|| format!("{}.event.*.{kind}", self.0), |part| format!("{}.event.{part}.{kind}", self.0))
    }

    /// Replays for a group; of one part or of all.
    pub(super) fn replay(&self, part: Option<u16>, group: &str) -> String {
        part.map_or_else(|| format!("{}.replay.*.{group}", self.0), |part| format!("{}.replay.{part}.{group}", self.0))
    }

    /// The part that a subject names.
    pub(super) fn part(&self, subject: &str) -> Option<u16> {
        subject.strip_prefix(&self.0)?.split('.').nth(2)?.parse().ok()
    }

    /// Dead letters; of one group or of all.
    pub(super) fn letters(&self, group: Option<&str>) -> String {
        group.map_or_else(|| self.all_dead(), |group| format!("{}.dead.{group}.>", self.0))
    }

    /// One dead letter.
    pub(super) fn letter(&self, group: &str, event: uuid::Uuid) -> String {
        format!("{}.dead.{group}.{event}", self.0)
    }

    /// Where members of a group tell each other that something changed.
    pub(super) fn signal(&self, group: &str) -> String {
        format!("{}.signal.{group}", self.0)
    }
}

/// Says whether the text can stand in a subject, between or with dots.
pub(super) fn is_subject(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    !text.is_empty() && text.split('.').all(|token| !token.is_empty() && token.chars().all(plain))
}

/// The entry of a part of a group in the bucket.
pub(super) fn part_key(group: &str, part: u16) -> String {
    format!("{group}.part.{part}")
}

/// The entry with the members of a group.
pub(super) fn members_key(group: &str) -> String {
    format!("{group}.members")
}
