//! Answers, read.

use http::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::Error;

/// What a search found.
#[derive(Debug)]
pub struct Hits {
    /// How many there are; no more are counted than the query says.
    pub total: u64,
    /// The page.
    pub hits: Vec<Hit>,
    /// The aggregations, as the server writes them.
    pub aggregations: Value,
}

/// A document that was found.
#[derive(Debug, Deserialize)]
pub struct Hit {
    /// Its id.
    #[serde(rename = "_id")]
    pub id: String,
    /// What it was sorted by: `search_after` of what follows it.
    #[serde(default)]
    pub sort: Vec<Value>,
}

#[derive(Deserialize)]
struct Found {
    #[serde(default)]
    timed_out: bool,
    hits: Page,
    #[serde(default)]
    aggregations: Value,
}

#[derive(Deserialize)]
struct Page {
    total: Total,
    /// What is empty is left out of an answer that is filtered.
    #[serde(default)]
    hits: Vec<Hit>,
}

#[derive(Deserialize)]
struct Total {
    value: u64,
}

impl Hits {
    pub(crate) fn read(answer: Value) -> Result<Self, Error> {
        let found: Found = serde_json::from_value(answer)?;
        // Part of an answer would look like all there is.
        if found.timed_out {
            return Err(Error::Busy("the search took too long".to_owned()));
        }
        Ok(Self { total: found.hits.total.value, hits: found.hits.hits, aggregations: found.aggregations })
    }
}

#[derive(Deserialize)]
struct Bulk {
    items: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    status: u16,
    #[serde(default)]
    error: Value,
}

/// Whether all that was to be written is there, in this version or a later one. What has no index is an error only
/// where there must be one.
pub(crate) fn written(answer: Value, must_exist: bool) -> Result<(), Error> {
    let bulk: Bulk = serde_json::from_value(answer)?;
    for Item { index: Outcome { status, error } } in bulk.items {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        match status {
            // A later version is there.
            StatusCode::CONFLICT => {}
            StatusCode::NOT_FOUND if !must_exist => {}
            _ if status.is_success() => {}
            _ => return Err(Error::of(status, &error)),
        }
    }
    Ok(())
}
