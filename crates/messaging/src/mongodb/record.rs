//! The store's side: events and receipts as a part of the update that changes the aggregate.

use mongodb::{
    Database, IndexModel,
    bson::{Bson, Document, doc},
    options::IndexOptions,
};
use time::OffsetDateTime;

use super::entry::{Entry, id};
use crate::{Effects, Error, Event, Receipt};

/// Events that had no effect on an aggregate.
pub(super) const NOTES: &str = "inbox";

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
/// [`Error::Malformed`] when an event cannot be written.
pub fn effects(effects: &Effects) -> Result<Recording, Error> {
    let (mut filter, mut push, mut update) = (Document::new(), Document::new(), Document::new());
    if let Some(receipt) = &effects.receipt {
        let event = id(receipt.event_id);
        filter.insert("inbox", doc! { "$ne": event });
        push.insert("inbox", event);
    }
    if let Some(oldest) = effects.events.iter().map(|event| event.time).min() {
        push.insert("outbox", doc! { "$each": entries(&effects.events)? });
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
/// [`Error::Malformed`] when an event cannot be written.
pub fn entries(events: &[Event]) -> Result<Vec<Bson>, Error> {
    events.iter().map(|event| Entry::from(event).bson()).collect()
}

/// Makes the indexes that the relay and the upkeep need; what is there stays.
///
/// # Errors
///
/// The server says no.
pub async fn prepare(database: &Database, collection: &str) -> Result<(), mongo::Error> {
    let index = |keys: Document| {
        let sparse = IndexOptions::builder().sparse(true).build();
        IndexModel::builder().keys(keys).options(sparse).build()
    };
    // What waits, the longest waiting first, and what is dead: both hold nothing of the documents that rest.
    let outbox = [index(doc! { "waiting": 1 }), index(doc! { "dead.id": 1 })];
    mongo::within(database.collection::<Document>(collection).create_indexes(outbox)).await?;
    // What is too old.
    mongo::within(database.collection::<Document>(NOTES).create_index(index(doc! { "at": 1 }))).await?;
    Ok(())
}

/// Remembers an event that was handled and changed no aggregate.
///
/// # Errors
///
/// The server says no.
pub async fn note(database: &Database, receipt: &Receipt, now: OffsetDateTime) -> Result<(), mongo::Error> {
    let noted = doc! { "_id": name(receipt), "at": clock::micros(now) };
    match mongo::within(database.collection(NOTES).insert_one(noted)).await {
        Err(error) if !error.is_duplicate() => Err(error),
        _ => Ok(()),
    }
}

/// Whether [`note`] has remembered the event.
///
/// # Errors
///
/// The server says no.
pub async fn is_noted(database: &Database, receipt: &Receipt) -> Result<bool, mongo::Error> {
    let notes = database.collection::<Document>(NOTES);
    Ok(mongo::within(notes.find_one(doc! { "_id": name(receipt) })).await?.is_some())
}

fn name(receipt: &Receipt) -> Document {
    doc! { "consumer": receipt.consumer, "event": id(receipt.event_id) }
}
