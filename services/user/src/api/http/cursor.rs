//! Where a page of a list ends: the id of its last item.

use error::Error;
use uuid::Uuid;

/// Reads a cursor of ours: an id as we write it, and in no other way.
///
/// # Errors
/// It is none.
pub(super) fn position(cursor: &str) -> Result<Uuid, Error> {
    let id = Uuid::try_parse(cursor).ok().filter(|id| id.to_string() == cursor);
    id.ok_or_else(|| Error::malformed_parameter("cursor", "is not one of ours"))
}
