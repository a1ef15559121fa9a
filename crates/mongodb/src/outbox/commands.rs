//! The commands of the outbox.

use futures::TryStreamExt as _;
use messaging::Error;
use mongodb_driver::{
    Collection,
    bson::{Bson, Document, doc},
};
use serde::de::DeserializeOwned;

use crate::within;

/// One field of the documents that `filter` finds, those with the lowest value of `sort` first.
pub(super) async fn find<T: DeserializeOwned + Send + Sync>(
    documents: &Collection<Document>,
    filter: Document,
    field: &str,
    sort: &str,
    limit: i64,
) -> Result<Vec<T>, Error> {
    let found = documents.clone_with_type::<T>();
    let found = async {
        found.find(filter).sort(doc! { sort: 1 }).limit(limit).projection(doc! { field: 1 }).await?.try_collect().await
    };
    within(&format!("find {}", documents.name()), found).await.map_err(Error::outbox)
}

/// One update of one document; says whether there is one that `filter` finds.
pub(super) async fn changes(
    documents: &Collection<Document>,
    filter: Document,
    update: Document,
) -> Result<bool, Error> {
    let summary = format!("update {}", documents.name());
    let done = within(&summary, documents.update_one(filter, update)).await.map_err(Error::outbox)?;
    Ok(done.matched_count == 1)
}

/// How many events there are in a field of the documents that `filter` finds, and the oldest time that one waits since.
pub(super) async fn count(
    documents: &Collection<Document>,
    filter: Document,
    field: &str,
) -> Result<(u64, Option<i64>), Error> {
    // Something else in its place counts for nothing, and does not keep the others from being counted.
    let size = doc! { "$cond": [{ "$isArray": field }, { "$size": field }, 0] };
    let sizes = doc! { "$sum": size };
    let sums = doc! { "$group": { "_id": Bson::Null, "n": sizes, "oldest": { "$min": "$waiting" } } };
    let found = async { documents.aggregate([doc! { "$match": filter }, sums]).await?.try_next().await };
    let summary = format!("aggregate {}", documents.name());
    let Some(found) = within(&summary, found).await.map_err(Error::outbox)? else {
        return Ok((0, None));
    };
    let n = match found.get("n") {
        Some(Bson::Int32(n)) => i64::from(*n),
        Some(Bson::Int64(n)) => *n,
        _ => 0,
    };
    Ok((u64::try_from(n).unwrap_or_default(), found.get_i64("oldest").ok()))
}
