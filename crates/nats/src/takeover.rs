//! Where a group goes on that was kept by a release up to 0.1.
//!
//! Those releases kept the offsets of their groups in a key-value bucket beside the stream: for each partition how far
//! it had been read, by kind, and what before that was not settled. When the durable consumer of a partition is made,
//! it begins with the first of those. What was settled behind that point comes again, and the inbox knows it.
//! This stays for one minor release (0.2) and goes with 0.3, as the CHANGELOG says.

use std::collections::BTreeMap;

use async_nats::jetstream::{Context, kv::Store};
use messaging::Error;
use serde::{Deserialize, Serialize};

use super::names::Names;

/// Under what name the old offsets of replays are kept.
const REPLAY: &str = "~replay";

/// An entry of the bucket; only what says where to go on.
#[derive(Serialize, Deserialize)]
struct Offsets {
    /// By kind: events up to this sequence are settled unless they are open.
    read: BTreeMap<String, u64>,
    /// Events that were read and are not settled, by sequence.
    open: BTreeMap<u64, serde_json::Value>,
}

impl Offsets {
    /// The sequence of the first event that is not settled, of these kinds and of replays.
    fn start(&self, kinds: &[String]) -> u64 {
        // A kind that the group did not have begins with what is published from now on, like everywhere.
        let known = kinds.iter().map(String::as_str).chain([REPLAY]).filter_map(|kind| self.read.get(kind));
        let unread = known.map(|read| read + 1).min();
        let open = self.open.keys().next().copied();
        unread.into_iter().chain(open).min().unwrap_or(1)
    }
}

/// The old bucket, where there is one. An account that may not look at it has none.
pub(crate) async fn bucket(context: &Context, names: &Names) -> Option<Store> {
    match context.get_key_value(names.offsets()).await {
        Ok(bucket) => Some(bucket),
        Err(error) => {
            // Mostly there was no earlier release.
            tracing::info!(
                bucket = names.offsets(),
                error = &error as &dyn std::error::Error,
                "no offsets of an earlier release: a new group begins with the oldest event"
            );
            None
        }
    }
}

/// The sequence at which a partition of a group was left, where it was.
pub(crate) async fn start(bucket: &Store, group: &str, partition: u16, kinds: &[String]) -> Result<Option<u64>, Error> {
    let Some(bytes) = bucket.get(format!("{group}.part.{partition}")).await.map_err(Error::bus)? else {
        return Ok(None);
    };
    let offsets: Offsets = serde_json::from_slice(&bytes).map_err(|error| Error::Malformed(error.to_string()))?;
    Ok(Some(offsets.start(kinds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_goes_on_with_the_first_that_is_not_settled() {
        let json = r#"{"owner":"x","read":{"a":9,"b":12,"~replay":15},"open":{"4":{"attempts":2,"held":true}}}"#;
        let mut offsets: Offsets = serde_json::from_str(json).unwrap();
        let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
        assert_eq!(offsets.start(&kinds(&["a", "b"])), 4);
        offsets.open.clear();
        assert_eq!(offsets.start(&kinds(&["a", "b"])), 10);
        assert_eq!(offsets.start(&kinds(&["b", "new"])), 13);
        assert_eq!(offsets.start(&kinds(&["new"])), 16);
    }
}
