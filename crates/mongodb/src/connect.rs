//! Opens a database, and bounds every call.

use std::{
    future::IntoFuture,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use mongodb_driver::{
    Client, Database,
    bson::{Document, doc},
    options::{ClientOptions, ReadConcern, SelectionCriteria, WriteConcern},
};

use crate::{Error, measured};

/// Connections of one process to each server of the set. A command holds one for about a millisecond.
const CONNECTIONS: u32 = 20;
/// How long finding a primary may take: an election of a replica set is over sooner, most of the time.
const SELECTION_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a majority may take to have a write.
const MAJORITY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long any command may take, its repetition included: the driver has no limit of its own for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(8);

/// Calls of this process that have failed, and how many had when a write was made sure of: none was at the start.
static FAILED: AtomicU64 = AtomicU64::new(1);
static PROVEN: AtomicU64 = AtomicU64::new(0);

/// Opens the database that the URL names; connections are made when they are needed.
///
/// What the URL does not say: writes are acknowledged by a majority, so that an acknowledged write survives the loss of
/// the primary; reads see only what a majority has; both are retried once by the driver where the server is a set.
///
/// # Errors
///
/// When the URL cannot be used.
pub async fn connect(url: &str, name: &str) -> Result<Database, Error> {
    let mut options = ClientOptions::parse(url).await.map_err(Error::Url)?;
    options.app_name = Some(name.to_owned());
    options.max_pool_size.get_or_insert(CONNECTIONS);
    options.server_selection_timeout.get_or_insert(SELECTION_TIMEOUT);
    options.connect_timeout.get_or_insert(CONNECT_TIMEOUT);
    options.read_concern.get_or_insert(ReadConcern::majority());
    options
        .selection_criteria
        .get_or_insert(SelectionCriteria::ReadPreference(mongodb_driver::options::ReadPreference::Primary));
    let majority = || {
        WriteConcern::builder().w(mongodb_driver::options::Acknowledgment::Majority).w_timeout(MAJORITY_TIMEOUT).build()
    };
    options.write_concern.get_or_insert_with(majority);
    measured::measure(&mut options, name);
    let database = options.default_database.clone().ok_or(Error::NoDatabase)?;
    Ok(Client::with_options(options)?.database(&database))
}

/// Asks the server whether it answers and is the primary, for the health check; where a call has failed since it was asked
/// last, also whether it stores something: on a full disk, without a majority, or with a role that was taken away it does not.
///
/// # Errors
///
/// It does not.
pub async fn ping(database: &Database) -> Result<(), Error> {
    // Not `hello`, which some servers that speak the protocol do not know.
    takes_writes(&within("isMaster", database.run_command(doc! { "isMaster": 1 })).await?)?;
    let failed = FAILED.load(Ordering::Relaxed);
    if PROVEN.load(Ordering::Relaxed) == failed {
        return Ok(());
    }
    // Whoever gives up waiting for this has made sure of nothing.
    Box::pin(store_something(database)).await?;
    PROVEN.store(failed, Ordering::Relaxed);
    Ok(())
}

async fn store_something(database: &Database) -> Result<(), Error> {
    let (ready, now) = (doc! { "_id": "readiness" }, doc! { "$currentDate": { "at": true } });
    let relay = database.collection::<Document>("relay");
    match within("update relay", relay.update_one(ready, now).upsert(true)).await {
        // Another process has made it at the same moment.
        Err(error) if !error.is_duplicate() => Err(error),
        _ => Ok(()),
    }
}

fn takes_writes(answer: &Document) -> Result<(), Error> {
    if answer.get_bool("ismaster").unwrap_or_default() { Ok(()) } else { Err(Error::NotPrimary) }
}

/// Does a call of the driver, for 8 s at most, and measures it; `summary` is the command and its collection, without any value.
///
/// # Errors
///
/// Those of the call, and [`Error::TimedOut`].
pub fn within<'a, T: 'a>(
    summary: &'a str,
    call: impl IntoFuture<Output = mongodb_driver::error::Result<T>, IntoFuture: Send + 'a>,
) -> impl Future<Output = Result<T, Error>> + Send + 'a {
    measured::call(summary, limited(call))
}

/// The same without being measured: for what is no command by itself, such as the next of what a cursor has most of the time.
///
/// # Errors
///
/// Those of the call, and [`Error::TimedOut`].
pub fn limited<'a, T: 'a>(
    call: impl IntoFuture<Output = mongodb_driver::error::Result<T>, IntoFuture: Send + 'a>,
) -> impl Future<Output = Result<T, Error>> + Send + 'a {
    // On the heap: that of a cursor is large, and it is a part of the future of whoever waits for it.
    let call = Box::pin(call.into_future());
    async {
        let answer = measured::within(CALL_TIMEOUT, call).await.map_err(|_| Error::TimedOut);
        let answer = answer.and_then(|answer| answer.map_err(Error::Driver));
        // What breaks a key was stored by somebody.
        if answer.as_ref().is_err_and(|error| !error.is_duplicate()) {
            FAILED.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_primary_takes_writes() {
        assert!(takes_writes(&doc! { "ismaster": true, "ok": 1.0 }).is_ok());
        let secondary = takes_writes(&doc! { "ismaster": false, "secondary": true, "ok": 1.0 });
        assert!(matches!(secondary, Err(Error::NotPrimary)));
    }
}
