//! What the driver and the server say no to, and whether asking again may help.

use mongodb_driver::error::{ErrorKind, WriteFailure};

/// MongoDB's code for a broken unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// A database that did not do what it was asked to. Nothing of its address is shown, for that may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL is none of ours.
    #[error("no MongoDB address: write mongodb://USER:PASSWORD@HOST/DATABASE or mongodb+srv://…")]
    Url(#[source] mongodb_driver::error::Error),
    /// The URL names no database.
    #[error("the MongoDB address names no database: write mongodb://HOST/DATABASE")]
    NoDatabase,
    /// The driver or the server says no.
    #[error("MongoDB failed")]
    Driver(#[from] mongodb_driver::error::Error),
    /// There was no answer in 8 s.
    #[error("MongoDB did not answer in time")]
    TimedOut,
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
            Self::TimedOut => return true,
            Self::Url(_) | Self::NoDatabase => return false,
            Self::Driver(error) => error,
        };
        let repeatable = || error.contains_label(mongodb_driver::error::RETRYABLE_WRITE_ERROR);
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
