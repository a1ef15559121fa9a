//! What is not offered to the bus any more, in the field `dead` of the documents: what the bus refused for good, as an entry
//! of the outbox, and what cannot be read, as it was.

use clock::{from_micros, micros};
use messaging::{DeadRow, Event};
use mongodb_driver::bson::{self, Bson, Document, doc};
use time::OffsetDateTime;
use uuid::Uuid;

use super::entry::{Entry, id};
use super::waiting::Unreadable;

/// Where what cannot be read is kept.
const UNREADABLE: &str = "unreadable";

/// The documents with the dead row of one event, or with any.
pub(super) fn documents_with(event: Option<Uuid>) -> Document {
    let wanted = event.map_or_else(|| doc! { "$exists": true }.into(), |event| Bson::from(id(event)));
    doc! { "dead.id": wanted }
}

/// Moves what cannot be read from the outbox to the dead, by one update: whatever happens, it is in one of the two.
pub(super) fn setting_aside(document: &Bson, unreadable: &Unreadable, now: OffsetDateTime) -> [Document; 2] {
    let Unreadable { value, listed, error } = unreadable;
    // There always is an `id`, by which the dead are found.
    let event = value.as_document().and_then(|entry| entry.get("id")).cloned().unwrap_or(Bson::Null);
    let dead = doc! { "id": event, UNREADABLE: value, "reason": error.to_string(), "dead_at": micros(now) };
    // `$in` and a list in the filter compare values as a whole, where a document by itself would be a condition.
    let (filter, (operator, change)) = if *listed {
        (doc! { "$in": [value] }, ("$pull", doc! { "outbox": { "$in": [value] } }))
    } else {
        (doc! { "$eq": value }, ("$set", doc! { "outbox": [] }))
    };
    [doc! { "_id": document, "outbox": filter }, doc! { operator: change, "$push": { "dead": dead } }]
}

/// The dead rows of a document.
pub(super) fn rows(mut document: Document) -> impl Iterator<Item = DeadRow> {
    let dead = document.remove("dead").and_then(|dead| if let Bson::Array(dead) = dead { Some(dead) } else { None });
    dead.into_iter().flatten().map(row)
}

fn row(entry: Bson) -> DeadRow {
    let fields = entry.as_document();
    let number = |name| fields.and_then(|fields| fields.get_i64(name).ok()).unwrap_or_default();
    let reason = fields.and_then(|fields| fields.get_str("reason").ok()).unwrap_or_default().to_owned();
    let (attempts, dead_at) = (u32::try_from(number("attempts")).unwrap_or_default(), from_micros(number("dead_at")));
    let event = bson::deserialize_from_bson::<Entry>(entry).ok().map(Event::from);
    DeadRow { event, attempts, reason, dead_at }
}

/// Puts the dead rows of one event, or all those of a document, back where they came from: before what is there now.
/// Returns how many there are, and the update.
pub(super) fn revival(
    mut document: Document,
    event: Option<Uuid>,
    now: OffsetDateTime,
) -> Option<(u64, [Document; 2])> {
    let (document, dead) = (document.remove("_id")?, document.remove("dead")?);
    let of_event = |entry: &&Bson| {
        let stored = entry.as_document().and_then(|entry| entry.get("id"));
        event.is_none_or(|event| stored == Some(&Bson::from(id(event))))
    };
    let chosen: Vec<&Bson> = dead.as_array()?.iter().filter(of_event).collect();
    let entries: Vec<Bson> = chosen.iter().map(|entry| restored(entry)).collect();
    let time = |entry: &Bson| entry.as_document().and_then(|entry| entry.get_i64("time").ok());
    let oldest = entries.iter().filter_map(time).min().unwrap_or_else(|| micros(now));
    let update = doc! {
        "$push": { "outbox": { "$each": entries, "$position": 0 } },
        "$pull": { "dead": { "$in": &chosen } },
        "$unset": { "retry_at": "" },
        "$min": { "waiting": oldest },
    };
    // These entries, or nothing: what somebody else has revived meanwhile must not come twice.
    Some((chosen.len() as u64, [doc! { "_id": document, "dead": { "$all": &chosen } }, update]))
}

/// What was in the outbox before it died.
fn restored(entry: &Bson) -> Bson {
    let Bson::Document(entry) = entry else { return entry.clone() };
    if let Some(unreadable) = entry.get(UNREADABLE) {
        return unreadable.clone();
    }
    let mut entry = entry.clone();
    entry.remove("reason");
    entry.remove("dead_at");
    entry.insert("attempts", 0_i64);
    Bson::Document(entry)
}
