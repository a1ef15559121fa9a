//! What scripts answer.

use std::time::Duration;

use bytes::Bytes;

use crate::{
    error::BoxError,
    store::{Entry, Token},
};

/// A script answered something else than it can.
#[derive(Debug, thiserror::Error)]
#[error("redis answered what cannot be read")]
pub(super) struct Unreadable;

/// What a script answers: a word, and what belongs to it.
pub(super) struct Answer(pub(super) Vec<Vec<u8>>);

impl Answer {
    pub(super) fn word(&self) -> &[u8] {
        self.0.first().map_or(b"", Vec::as_slice)
    }

    pub(super) fn is(&self, word: &str) -> bool {
        self.word() == word.as_bytes()
    }

    pub(super) fn number(&self, place: usize) -> Result<u64, BoxError> {
        let text = self.0.get(place).ok_or(Unreadable)?;
        Ok(std::str::from_utf8(text)?.parse()?)
    }

    pub(super) fn token(&self) -> Result<Token, BoxError> {
        let text = self.0.get(1).and_then(|text| std::str::from_utf8(text).ok());
        Ok(text.and_then(Token::parse).ok_or(Unreadable)?)
    }

    pub(super) fn entry(mut self) -> Result<Entry, BoxError> {
        let millis = |place| Ok::<_, BoxError>(Duration::from_millis(self.number(place)?));
        let (generation, fresh_for, cost) = (self.number(2)?, millis(3)?, millis(4)?);
        let value = Bytes::from(self.0.swap_remove(1));
        Ok(Entry { value, generation, fresh_for, cost })
    }
}
