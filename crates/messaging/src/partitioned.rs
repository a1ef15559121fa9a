//! What adapters of partitioned logs have in common, free of any client library.
//!
//! A log orders what it keeps by partition, and a group gives each partition to one member at a time. A member reads
//! ahead and keeps what it has read in [`Lanes`] by key, so that a failing event holds up its own key and no other.
//! When a partition comes from another member, its records are held back until what that member had in hand has come
//! again, so that the order of a key outlives the hand-over.

mod backlog;
mod hash;
mod lanes;
mod progress;
mod record;

pub use hash::partition_of;
pub use lanes::Lanes;
pub use progress::{Progress, WINDOW};
pub use record::Record;

#[cfg(test)]
mod tests;
