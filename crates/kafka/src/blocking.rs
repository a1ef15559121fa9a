//! Calls of the client library that block, off the threads of the runtime.

use std::time::Duration;

use messaging::Error;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use tokio::time::{Instant, sleep};

use crate::context::Context;

/// How long the brokers may take to answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);
/// A pause before a broker is asked again that is just taking something over.
const PAUSE: Duration = Duration::from_millis(50);

/// Runs a call that waits for the brokers, again while they are taking over what it asks about; it goes on when the
/// caller is dropped.
pub(crate) async fn blocking<T, F>(context: &Context, mut call: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnMut() -> KafkaResult<T> + Send + 'static,
{
    let until = Instant::now() + TIMEOUT;
    loop {
        let run = move || (call(), call);
        match tokio::task::spawn_blocking(run).await {
            Ok((Err(error), again)) if is_taking_over(&error) && Instant::now() < until => call = again,
            Ok((result, _)) => return result.map_err(|error| context.failed(error)),
            Err(ended) => return Err(Error::bus(ended)),
        }
        sleep(PAUSE).await;
    }
}

/// Whether a partition or a group has no broker for a moment: it is new, or its broker has just gone.
fn is_taking_over(error: &KafkaError) -> bool {
    let codes = [
        RDKafkaErrorCode::UnknownTopicOrPartition,
        RDKafkaErrorCode::LeaderNotAvailable,
        RDKafkaErrorCode::NotLeaderForPartition,
        RDKafkaErrorCode::UnknownLeaderEpoch,
        RDKafkaErrorCode::FencedLeaderEpoch,
        RDKafkaErrorCode::CoordinatorLoadInProgress,
        RDKafkaErrorCode::CoordinatorNotAvailable,
        RDKafkaErrorCode::NotCoordinator,
    ];
    error.rdkafka_error_code().is_some_and(|code| codes.contains(&code))
}
