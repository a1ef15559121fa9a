//! Who publishes: one relay at a time, by a lease in one document.

use std::time::Duration;

use clock::micros;
use mongodb_driver::{
    Collection, Database,
    bson::{Document, doc},
    options::ReturnDocument,
};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::{Error, within};

#[derive(Debug, Serialize, Deserialize)]
struct Held {
    _id: String,
    owner: String,
    until: i64,
    fence: i64,
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
    /// it. Times are those of the callers' clocks, which may differ by much less than the lease.
    pub(super) async fn renew(&self, owner: &str, now: OffsetDateTime, lease: Duration) -> Result<Option<i64>, Error> {
        let until = micros(now + lease);
        // Three steps, each one atomic update or insert of one document, so that of several relays one wins each.
        // First: the lease is the owner's, even if it has run out and nobody has claimed it: the fence stays.
        let mine = doc! { "_id": &self.name, "owner": owner };
        if let Some(fence) = self.change(mine, doc! { "$set": { "until": until } }).await? {
            return Ok(Some(fence));
        }
        // Second: it has run out. The server compares in the same step, so two who come at once cannot both match; the
        // fence goes up with the owner.
        let over = doc! { "_id": &self.name, "until": { "$lte": micros(now) } };
        let claimed = doc! { "$set": { "owner": owner, "until": until }, "$inc": { "fence": 1_i64 } };
        if let Some(fence) = self.change(over, claimed).await? {
            return Ok(Some(fence));
        }
        // Third: there is none yet, or somebody else holds it. The unique `_id` tells which.
        let first = Held { _id: self.name.clone(), owner: owner.to_owned(), until, fence: 1 };
        match within(self.leases.insert_one(first)).await {
            Ok(_) => Ok(Some(1)),
            Err(error) if error.is_duplicate() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether the lease has that fence still. Somebody may take it right after.
    pub(super) async fn is_current(&self, fence: i64) -> Result<bool, Error> {
        let held = within(self.leases.find_one(doc! { "_id": &self.name, "fence": fence })).await?;
        Ok(held.is_some())
    }

    pub(super) async fn release(&self, owner: &str) -> Result<(), Error> {
        let free = doc! { "$set": { "owner": "", "until": 0_i64 } };
        within(self.leases.update_one(doc! { "_id": &self.name, "owner": owner }, free)).await?;
        Ok(())
    }

    async fn change(&self, filter: Document, update: Document) -> Result<Option<i64>, Error> {
        let changed = self.leases.find_one_and_update(filter, update).return_document(ReturnDocument::After);
        Ok(within(changed).await?.map(|held| held.fence))
    }
}
