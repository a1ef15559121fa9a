//! What a document has to publish, read entry by entry: one that cannot be read holds up no other.

use messaging::Error;
use mongodb_driver::bson::{self, Bson, RawBsonRef, RawDocument};

use super::entry::Entry;

/// A document with something to publish.
pub(super) struct Waiting {
    pub(super) id: Bson,
    /// What it has to publish, in order.
    pub(super) entries: Vec<Entry>,
    /// What cannot be read.
    pub(super) unreadable: Vec<Unreadable>,
}

/// A value in the place of an entry, or of all of them.
pub(super) struct Unreadable {
    pub(super) value: Bson,
    /// Whether it is one of several in the list.
    pub(super) listed: bool,
    pub(super) error: Error,
}

impl Waiting {
    /// Reads the document; `id_of` says which document's events have a key.
    pub(super) fn read(document: &RawDocument, id_of: fn(&str) -> Bson) -> Result<Self, Error> {
        let field = |name| document.get(name).map_err(Error::outbox);
        let id = field("_id")?.ok_or_else(|| Error::outbox("a document without _id"))?;
        let mut waiting = Self { id: owned(id)?, entries: Vec::new(), unreadable: Vec::new() };
        match field("outbox")? {
            None => {}
            Some(RawBsonRef::Array(list)) => {
                for value in list {
                    waiting.add(value.map_err(Error::outbox)?, id_of)?;
                }
            }
            Some(value) => waiting.set_aside(value, false, "no list of events")?,
        }
        Ok(waiting)
    }

    fn add(&mut self, value: RawBsonRef<'_>, id_of: fn(&str) -> Bson) -> Result<(), Error> {
        let Some(document) = value.as_document() else { return self.set_aside(value, true, "no document") };
        match bson::deserialize_from_slice::<Entry>(document.as_bytes()) {
            // What is published is removed from the document of its key.
            Ok(entry) if id_of(entry.key()) != self.id => self.set_aside(value, true, "the key is another document's"),
            Ok(entry) => {
                self.entries.push(entry);
                Ok(())
            }
            Err(error) => self.set_aside(value, true, &error.to_string()),
        }
    }

    fn set_aside(&mut self, value: RawBsonRef<'_>, listed: bool, why: &str) -> Result<(), Error> {
        let error = Error::Malformed(why.to_owned());
        self.unreadable.push(Unreadable { value: owned(value)?, listed, error });
        Ok(())
    }
}

fn owned(value: RawBsonRef<'_>) -> Result<Bson, Error> {
    Bson::try_from(value).map_err(Error::outbox)
}
