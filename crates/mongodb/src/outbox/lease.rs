//! Who publishes: one relay at a time, by a lease in one document.

use std::time::Duration;

use mongodb_driver::{
    Collection, Database,
    bson::{DateTime, doc},
    options::ReturnDocument,
};
use serde::Deserialize;

use crate::{Error, within};

#[derive(Debug, Deserialize)]
struct Held {
    owner: String,
    until: i64,
    fence: i64,
    /// The server's time when this was read.
    now: DateTime,
}

/// The lease of one collection's outbox.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    leases: Collection<Held>,
    name: String,
}

impl Lease {
    pub(super) fn new(database: &Database, name: &str) -> Self {
        Self { leases: database.collection("relay"), name: name.to_owned() }
    }

    /// Renews the owner's lease, or claims one that has run out; returns its fence, or nothing where somebody else has
    /// it. All times are the server's: relays on several machines trust them.
    pub(super) async fn renew(&self, owner: &str, lease: Duration) -> Result<Option<i64>, Error> {
        let nobody = doc! { "owner": "", "until": 0_i64, "fence": 0_i64 };
        let read = doc! { "$currentDate": { "now": true }, "$setOnInsert": nobody };
        let read = self.leases.find_one_and_update(doc! { "_id": &self.name }, read).upsert(true);
        let held = match within("findAndModify relay", read.return_document(ReturnDocument::After)).await {
            Ok(Some(held)) => held,
            // Another relay has made the document at the same moment.
            Err(error) if error.is_duplicate() => return Ok(None),
            Ok(None) => return Ok(None),
            Err(error) => return Err(error),
        };
        let now = held.now.timestamp_millis().saturating_mul(1_000);
        let ahead = |time: Duration| now.saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX));
        // The lease is the owner's also when it has run out and nobody has claimed it: then the fence stays. Beyond the
        // horizon it was stored while the server's clock was wrong.
        let mine = held.owner == owner;
        if !mine && (now + 1..=ahead(clock::HORIZON)).contains(&held.until) {
            return Ok(None);
        }
        let fence = held.fence + i64::from(!mine);
        // Only what was read: of two who come at once one writes.
        let same = doc! { "_id": &self.name, "owner": held.owner, "until": held.until, "fence": held.fence };
        let renewed = doc! { "$set": { "owner": owner, "until": ahead(lease), "fence": fence } };
        Ok((within("update relay", self.leases.update_one(same, renewed)).await?.matched_count == 1).then_some(fence))
    }

    /// Whether the lease has that fence still. Somebody may take it right after.
    pub(super) async fn is_current(&self, fence: i64) -> Result<bool, Error> {
        let held = within("find relay", self.leases.find_one(doc! { "_id": &self.name, "fence": fence })).await?;
        Ok(held.is_some())
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let free = doc! { "$set": { "owner": "", "until": 0_i64 } };
        within("update relay", self.leases.update_one(doc! { "_id": &self.name, "owner": owner }, free)).await?;
        Ok(())
    }
}
