//! The server's time. When an operation began is written by one process and judged by another, so neither asks its own
//! clock.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use mongodb::bson::doc;
use time::OffsetDateTime;
use tokio::time::Instant;

use super::{MongoStore, corrupt};
use crate::app::ports::StoreError;

/// How long what was read is carried on: a server whose clock is put right, or another primary, is noticed by then.
const FRESH: Duration = Duration::from_secs(5);

/// The server's time when it was last read, and when that was.
#[derive(Clone, Default)]
pub(super) struct ServerTime(Arc<Mutex<Option<(OffsetDateTime, Instant)>>>);

impl MongoStore {
    /// The server's time, read now.
    pub(super) async fn read_server_time(&self) -> Result<OffsetDateTime, StoreError> {
        // Not `hello`, which some servers that speak the protocol do not know.
        let said = mongodb::within("isMaster", self.database.run_command(doc! { "isMaster": 1 })).await?;
        let millis = said.get_datetime("localTime").map_err(|_| corrupt("time"))?.timestamp_millis();
        let now = clock::from_micros(millis.saturating_mul(1_000));
        *self.server_time.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, Instant::now()));
        Ok(now)
    }

    /// The server's time, carried on from when it was last read.
    pub(super) async fn server_time(&self) -> Result<OffsetDateTime, StoreError> {
        let read = *self.server_time.0.lock().unwrap_or_else(PoisonError::into_inner);
        match read.map(|(then, at)| (then, at.elapsed())) {
            Some((then, since)) if since < FRESH => Ok(then + since),
            _ => self.read_server_time().await,
        }
    }
}
