//! What the adapters for partitioned logs have in common.

pub use crate::part::of as partition_of;
