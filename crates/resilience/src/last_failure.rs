//! What the last call has failed of.

use std::{
    error::Error,
    iter,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What the last call to something has failed of; nothing where it has succeeded. For a check that makes no call itself.
///
/// ```
/// let last = resilience::LastFailure::default();
/// last.failed(&std::io::Error::other("connection refused"));
/// assert_eq!(last.check().unwrap_err().to_string(), "the last call failed: connection refused");
/// last.succeeded();
/// assert!(last.check().is_ok());
/// ```
#[derive(Debug, Default)]
pub struct LastFailure(Mutex<Option<String>>);

/// The last call has failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the last call failed: {0}")]
pub struct Failed(pub String);

impl LastFailure {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call has failed, of this and its causes.
    pub fn failed(&self, error: &(dyn Error + 'static)) {
        let causes = iter::successors(Some(error), |error| (*error).source());
        *self.lock() = Some(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
    }

    /// A call has succeeded.
    pub fn succeeded(&self) {
        *self.lock() = None;
    }

    /// Whether the last call has succeeded; also where there was none.
    ///
    /// # Errors
    ///
    /// What it has failed of.
    pub fn check(&self) -> Result<(), Failed> {
        self.lock().clone().map_or(Ok(()), |cause| Err(Failed(cause)))
    }
}
