//! The store's side: events and receipts as a part of the update that changes the aggregate.

use messaging::{Effects, Event, Receipt};
use mongodb_driver::{
    Database, IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};
use time::OffsetDateTime;

use super::entry::{Entry, id};
use crate::{Error, within};

/// Events that had no effect on an aggregate.
pub(super) const INBOX: &str = "inbox";

/// What an update has to say besides the change of the aggregate.
#[derive(Clone, Debug, Default)]
pub struct Recording {
    /// To be added to the update's filter: nothing matches where the receipt's event was applied before.
    pub filter: Document,
    /// `$push` and `$min`; the operators of the change itself go beside them.
    pub update: Document,
}

/// The events and the receipt as parts of an update of the aggregate that is all the events' key.
///
/// # Errors
///
/// [`messaging::Error::Malformed`] when an event cannot be written.
pub fn recording(effects: &Effects) -> Result<Recording, messaging::Error> {
    let (mut filter, mut push, mut update) = (Document::new(), Document::new(), Document::new());
    if let Some(receipt) = &effects.receipt {
        let event = id(receipt.event_id);
        // `$ne` on an array: no element is equal. A second delivery matches no document, so it changes nothing.
        filter.insert("inbox", doc! { "$ne": event });
        push.insert("inbox", event);
    }
    if let Some(oldest) = effects.events.iter().map(|event| event.time).min() {
        push.insert("outbox", doc! { "$each": entries(&effects.events)? });
        // `$min`: what waits already is older and keeps its time. It sets the field where there is none.
        update.insert("$min", doc! { "waiting": clock::micros(oldest) });
    }
    if !push.is_empty() {
        update.insert("$push", push);
    }
    Ok(Recording { filter, update })
}

/// The events as the field `outbox` of a new document, which is published once the document has `waiting`.
///
/// # Errors
///
/// [`messaging::Error::Malformed`] when an event cannot be written.
pub fn entries(events: &[Event]) -> Result<Vec<Bson>, messaging::Error> {
    events.iter().map(|event| Entry::from(event).bson()).collect()
}

/// Makes the indexes that the relay and the upkeep need; what is there stays.
///
/// # Errors
///
/// The server says no.
pub async fn prepare(database: &Database, collection: &str) -> Result<(), Error> {
    let index = |keys: Document| {
        let sparse = IndexOptions::builder().sparse(true).build();
        IndexModel::builder().keys(keys).options(sparse).build()
    };
    // What waits, the longest waiting first, and what is dead: both hold nothing of the documents that rest.
    let outbox = [index(doc! { "waiting": 1 }), index(doc! { "dead.id": 1 })];
    let summary = format!("createIndexes {collection}");
    within(&summary, database.collection::<Document>(collection).create_indexes(outbox)).await?;
    // What is too old.
    within("createIndexes inbox", database.collection::<Document>(INBOX).create_index(index(doc! { "at": 1 }))).await?;
    Ok(())
}

/// Records an event that was handled and changed no aggregate.
///
/// # Errors
///
/// The server says no.
pub async fn record_receipt(database: &Database, receipt: &Receipt, now: OffsetDateTime) -> Result<(), Error> {
    let entry = doc! { "_id": receipt_id(receipt), "at": clock::micros(now) };
    match within("insert inbox", database.collection(INBOX).insert_one(entry)).await {
        // A duplicate is there already, perhaps from a try of ours whose answer was lost: recorded either way.
        Err(error) if !error.is_duplicate() => Err(error),
        _ => Ok(()),
    }
}

/// Whether [`record_receipt`] has recorded the event.
///
/// # Errors
///
/// The server says no.
pub async fn is_recorded(database: &Database, receipt: &Receipt) -> Result<bool, Error> {
    let inbox = database.collection::<Document>(INBOX);
    Ok(within("find inbox", inbox.find_one(doc! { "_id": receipt_id(receipt) })).await?.is_some())
}

fn receipt_id(receipt: &Receipt) -> Document {
    doc! { "consumer": receipt.consumer, "event": id(receipt.event_id) }
}
