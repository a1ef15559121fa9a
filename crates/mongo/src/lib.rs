//! Opens a MongoDB database with safe settings.
//!
//! ```no_run
//! # async fn example() -> Result<(), mongo::Error> {
//! let database = mongo::connect("mongodb://localhost/order", "order").await?;
//! mongo::ping(&database).await
//! # }
//! ```
#![warn(missing_docs)]

use std::{future::IntoFuture, time::Duration};

use mongodb::{
    Client, Database,
    bson::doc,
    error::{ErrorKind, WriteFailure},
    options::{ClientOptions, ReadConcern, SelectionCriteria, WriteConcern},
};

/// Connections of one process to each server of the set. A command holds one for about a millisecond.
const CONNECTIONS: u32 = 20;
/// How long finding a primary may take: an election of a replica set is over sooner, most of the time.
const SELECTION: Duration = Duration::from_secs(5);
/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a majority may take to have a write.
const MAJORITY: Duration = Duration::from_secs(5);
/// How long any command may take, its repetition included: the driver has no limit of its own for an answer.
const ANSWER: Duration = Duration::from_secs(8);

/// MongoDB's code for a broken unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// A database that did not do what it was asked to. Nothing of its address is shown, for that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("no MongoDB address: write mongodb://USER:PASSWORD@HOST/DATABASE or mongodb+srv://…")]
    Url(#[source] mongodb::error::Error),
    /// The URL names no database.
    #[error("the MongoDB address names no database: write mongodb://HOST/DATABASE")]
    NoDatabase,
    /// The driver or the server says no.
    #[error("MongoDB failed")]
    Driver(#[from] mongodb::error::Error),
    /// There was no answer in 8 s.
    #[error("MongoDB did not answer in time")]
    Late,
}

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
    options.server_selection_timeout.get_or_insert(SELECTION);
    options.connect_timeout.get_or_insert(CONNECT);
    options.read_concern.get_or_insert(ReadConcern::majority());
    options
        .selection_criteria
        .get_or_insert(SelectionCriteria::ReadPreference(mongodb::options::ReadPreference::Primary));
    let majority = || WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).w_timeout(MAJORITY).build();
    options.write_concern.get_or_insert_with(majority);
    let database = options.default_database.clone().ok_or(Error::NoDatabase)?;
    Ok(Client::with_options(options)?.database(&database))
}

/// Asks the server whether it answers, for the health check.
///
/// # Errors
///
/// It does not.
pub async fn ping(database: &Database) -> Result<(), Error> {
    within(database.run_command(doc! { "ping": 1 })).await.map(drop)
}

/// Does a call of the driver, for 8 s at most.
///
/// # Errors
///
/// Those of the call, and [`Error::Late`].
pub async fn within<T>(call: impl IntoFuture<Output = mongodb::error::Result<T>>) -> Result<T, Error> {
    tokio::time::timeout(ANSWER, call.into_future()).await.map_err(|_| Error::Late)?.map_err(Error::Driver)
}

impl Error {
    /// Whether a unique index forbids it.
    pub fn is_duplicate(&self) -> bool {
        let Self::Driver(error) = self else { return false };
        match error.kind.as_ref() {
            ErrorKind::Write(WriteFailure::WriteError(error)) => error.code == DUPLICATE_KEY,
            ErrorKind::Command(error) => error.code == DUPLICATE_KEY,
            _ => false,
        }
    }

    /// Whether the same call may work later: the server is away or ending, is not the primary any longer, or a majority
    /// was not reached. What was written may be there.
    pub fn is_unavailable(&self) -> bool {
        let error = match self {
            Self::Late => return true,
            Self::Url(_) | Self::NoDatabase => return false,
            Self::Driver(error) => error,
        };
        let repeatable = || error.contains_label(mongodb::error::RETRYABLE_WRITE_ERROR);
        match error.kind.as_ref() {
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
            // Of the server's error_codes.yml: 50 MaxTimeMSExpired, 64 WriteConcernFailed, 89 NetworkTimeout,
            // 91 ShutdownInProgress, 112 WriteConflict, 189 PrimarySteppedDown, 202 NetworkInterfaceExceededTimeLimit,
            // 262 ExceededTimeLimit, 10107 NotWritablePrimary, 11600 and 11602 interrupted, 13435 and 13436 no primary.
            ErrorKind::Command(error) => {
                let passing = [6, 7, 50, 64, 89, 91, 112, 189, 202, 262, 9001, 10_107, 11_600, 11_602, 13_435, 13_436];
                passing.contains(&error.code) || repeatable()
            }
            _ => repeatable(),
        }
    }
}
