//! What the driver and the server say no to, and whether asking again may help.

use mongodb_driver::error::{ErrorKind, WriteFailure};

/// MongoDB's code for a broken unique index.
const DUPLICATE_KEY: i32 = 11_000;

/// Codes that pass by themselves, or once somebody has put the server right. Of its `error_codes.yml`: 6 `HostUnreachable`,
/// 7 `HostNotFound`, 13 `Unauthorized`, 18 `AuthenticationFailed`, 24 `LockTimeout`, 46 `LockBusy`, 50 `MaxTimeMSExpired`, 64 `WriteConcernFailed`,
/// 89 `NetworkTimeout`, 91 `ShutdownInProgress`, 112 `WriteConflict`, 133 `FailedToSatisfyReadPreference`,
/// 134 `ReadConcernMajorityNotAvailableYet`, 146 `ExceededMemoryLimit`, 189 `PrimarySteppedDown`,
/// 202 `NetworkInterfaceExceededTimeLimit`, 262 `ExceededTimeLimit`, 365 `TemporarilyUnavailable`,
/// 462 `IngressRequestRateLimitExceeded`, 9001 `SocketException`, 10107 `NotWritablePrimary`, 11600 and 11602 interrupted,
/// 13435 and 13436 no primary, 14031 `OutOfDiskSpace`.
const PASSING: [i32; 26] = [
    6, 7, 13, 18, 24, 46, 50, 64, 89, 91, 112, 133, 134, 146, 189, 202, 262, 365, 462, 9001, 10_107, 11_600, 11_602,
    13_435, 13_436, 14_031,
];

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
    /// The server is there and takes no writes.
    #[error("MongoDB is not the primary that takes writes")]
    NotPrimary,
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

    /// Whether the same call may work later: the server is away, ending, full or locked, lets nobody in, is not the
    /// primary any longer, or a majority was not reached. What was written may be there.
    pub fn is_unavailable(&self) -> bool {
        let error = match self {
            Self::NotPrimary | Self::TimedOut => return true,
            Self::Url(_) | Self::NoDatabase => return false,
            Self::Driver(error) => error,
        };
        let repeatable = || error.contains_label(mongodb_driver::error::RETRYABLE_WRITE_ERROR);
        match error.kind.as_ref() {
            ErrorKind::Io(_)
            | ErrorKind::ServerSelection { .. }
            | ErrorKind::ConnectionPoolCleared { .. }
            | ErrorKind::DnsResolve { .. }
            // A password that was rotated: no request is at fault, and it is put right without us.
            | ErrorKind::Authentication { .. }
            | ErrorKind::Write(WriteFailure::WriteConcernError(_)) => true,
            ErrorKind::Command(error) => PASSING.contains(&error.code) || repeatable(),
            ErrorKind::Write(WriteFailure::WriteError(error)) => PASSING.contains(&error.code) || repeatable(),
            _ => repeatable(),
        }
    }
}

#[cfg(test)]
mod tests {
    use mongodb_driver::bson::{deserialize_from_document, doc};

    use super::*;

    fn command(code: i32) -> Error {
        Error::Driver(ErrorKind::Command(deserialize_from_document(doc! { "code": code }).unwrap()).into())
    }

    fn write(code: i32) -> Error {
        let error = WriteFailure::WriteError(deserialize_from_document(doc! { "code": code }).unwrap());
        Error::Driver(ErrorKind::Write(error).into())
    }

    #[test]
    fn what_passes_by_itself_is_unavailable_and_what_does_not_is_a_failure() {
        for (code, unavailable) in [
            (13, true),     // a role that was taken away
            (18, true),     // a password that was rotated
            (24, true),     // locked for too long
            (50, true),     // too slow
            (133, true),    // no server to read from
            (134, true),    // no majority to read from yet
            (146, true),    // out of memory
            (462, true),    // more than the server takes in
            (10_107, true), // no primary any longer
            (14_031, true), // out of disk space
            (2, false),     // a bad value
            (121, false),   // a document that does not pass the validation
            (11_000, false),
        ] {
            assert_eq!(command(code).is_unavailable(), unavailable, "command {code}");
            assert_eq!(write(code).is_unavailable(), unavailable, "write {code}");
        }
        assert!(command(DUPLICATE_KEY).is_duplicate() && write(DUPLICATE_KEY).is_duplicate());
    }
}
