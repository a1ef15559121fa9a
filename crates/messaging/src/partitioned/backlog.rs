//! What is held back of a partition that may just have come from another member.

use std::collections::BTreeMap;

use super::record::Entry;

/// Records of one partition that wait, by position, until what the last member had in hand has come again.
#[derive(Debug)]
pub(super) struct Backlog<H>(BTreeMap<u64, Entry<H>>);

impl<H> Backlog<H> {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn push(&mut self, entry: Entry<H>) {
        self.0.insert(entry.record.position, entry);
    }

    pub(super) fn positions(&self) -> impl Iterator<Item = u64> {
        self.0.keys().copied()
    }

    pub(super) fn entries(&mut self) -> impl Iterator<Item = &mut Entry<H>> {
        self.0.values_mut()
    }

    /// Everything, by position.
    pub(super) fn into_entries(self) -> impl Iterator<Item = Entry<H>> {
        self.0.into_values()
    }
}
