//! Calls of the client library that block, off the threads of the runtime.

use std::time::Duration;

use messaging::Error;

/// How long the brokers may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Runs a call that waits for the brokers; it goes on when the caller is dropped.
pub(crate) async fn blocking<T, E, F>(call: F) -> Result<T, Error>
where
    T: Send + 'static,
    E: std::error::Error + Send + Sync + 'static,
    F: FnOnce() -> Result<T, E> + Send + 'static,
{
    match tokio::task::spawn_blocking(call).await {
        Ok(result) => result.map_err(Error::bus),
        Err(ended) => Err(Error::bus(ended)),
    }
}
