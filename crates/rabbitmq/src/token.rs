//! What is in the queue of a group's partition: its token, which holds how far the group is and is in the hands of the
//! partition's reader, and what others ask that reader.

use std::collections::BTreeSet;

use messaging::{Error, partitioned::Progress};
use serde::{Deserialize, Serialize};

/// A message in the queue of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Mail {
    Token(Token),
    /// A member asks for these kinds, from now on.
    Kinds(BTreeSet<String>),
    /// Somebody asks how many positions are settled.
    Settled,
}

/// How far a group is in a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Goes up with each reader.
    pub(crate) epoch: u64,
    /// Goes up with each time that it is written.
    pub(crate) version: u64,
    /// The oldest offset that is not settled, and what is known of those above ([`Progress::metadata`]).
    pub(crate) mark: u64,
    pub(crate) above: String,
    /// The offset and the id of a message before the mark: another log has another one there.
    pub(crate) before: Option<(u64, String)>,
    /// The kinds that the group is given.
    pub(crate) kinds: BTreeSet<String>,
}

impl Token {
    /// Of two that somebody left who died while replacing one, the higher counts.
    pub(crate) fn order(&self) -> (u64, u64) {
        (self.epoch, self.version)
    }

    pub(crate) fn progress(&self) -> Progress {
        Progress::parse(self.mark, &self.above)
    }

    /// Notes how far the group is.
    pub(crate) fn note(&mut self, progress: &Progress) {
        (self.mark, self.above) = (progress.mark(), progress.metadata());
    }
}

impl Mail {
    pub(crate) fn write(&self) -> Result<Vec<u8>, Error> {
        serde_json::to_vec(self).map_err(Error::Encode)
    }

    /// Reads a message; nothing where it is none of ours.
    pub(crate) fn read(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut progress = Progress::from(7);
        progress.settle(9);
        let mut token = Token { epoch: 2, before: Some((6, "id".to_owned())), ..Token::default() };
        token.note(&progress);
        let mail = Mail::Token(token.clone());
        assert_eq!(Mail::read(&mail.write().unwrap()), Some(mail));
        assert_eq!(token.progress(), progress);
        assert_eq!(Mail::read(b"{}"), None);
    }
}
