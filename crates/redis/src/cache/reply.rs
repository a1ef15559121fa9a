//! What scripts reply.

use std::time::Duration;

use bytes::Bytes;
use cache::{BoxError, Entry, LeaseToken};

/// A script replied something that it cannot reply.
#[derive(Debug, thiserror::Error)]
#[error("unexpected reply from redis")]
pub(super) struct UnexpectedReply;

/// A script's reply: a status, and what belongs to it.
pub(super) struct Reply(pub(super) Vec<Vec<u8>>);

impl Reply {
    pub(super) fn status(&self) -> &[u8] {
        self.0.first().map_or(b"", Vec::as_slice)
    }

    pub(super) fn is(&self, status: &str) -> bool {
        self.status() == status.as_bytes()
    }

    pub(super) fn number(&self, index: usize) -> Result<u64, BoxError> {
        let text = self.0.get(index).ok_or(UnexpectedReply)?;
        Ok(std::str::from_utf8(text)?.parse()?)
    }

    /// The generation of the entry that was replied.
    pub(super) fn generation(&self) -> Result<u64, BoxError> {
        self.number(2)
    }

    pub(super) fn token(&self) -> Result<LeaseToken, BoxError> {
        let text = self.0.get(1).and_then(|text| std::str::from_utf8(text).ok());
        Ok(text.and_then(LeaseToken::parse).ok_or(UnexpectedReply)?)
    }

    pub(super) fn entry(mut self) -> Result<Entry, BoxError> {
        let millis = |index| Ok::<_, BoxError>(Duration::from_millis(self.number(index)?));
        let (generation, fresh_for, load_time) = (self.generation()?, millis(3)?, millis(4)?);
        let value = Bytes::from(self.0.swap_remove(1));
        Ok(Entry { value, generation, fresh_for, load_time })
    }
}
