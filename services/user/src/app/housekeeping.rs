//! What has to be done now and then: signing keys are rotated, expired sessions and tokens deleted.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, Error, ports::StoreError};
use crate::domain::key_rotation::READ_EVERY;

/// How long between two rounds.
const INTERVAL: Duration = READ_EVERY;
/// How many of each are deleted at a time: a statement is soon over, and on SQLite others write in between.
const BATCH: u32 = 1000;
/// How long a mail is owed: as long as a server of mail would try (RFC 5321, 4.5.4.1). Then its address is deleted.
const OWED: time::Duration = time::Duration::days(5);

/// Does it again and again until the token is cancelled. The first round is one interval away: the keys were read,
/// and rotated if need be, when the process started.
pub async fn run(app: Arc<App>, token: CancellationToken) {
    while token.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        // Cancelled in the middle, it is done by the next process.
        let _ = token.run_until_cancelled(app.keep_house()).await;
    }
}

/// Deletes batch after batch until one is not full: what ends within a round is gone after it, however much that is.
async fn prune<F>(batch: impl Fn() -> F) -> Result<u64, Error>
where
    F: Future<Output = Result<u64, StoreError>>,
{
    let mut all = 0;
    loop {
        let deleted = batch().await?;
        all += deleted;
        if deleted < u64::from(BATCH) {
            return Ok(all);
        }
    }
}

impl App {
    /// Rotates the signing keys and deletes what has expired.
    /// What fails is tried again in the next round: until then the known keys go on signing.
    pub async fn keep_house(&self) {
        let now = self.now();
        let keys = self.keys.rotate().await;
        let sessions = prune(|| self.sessions.prune(now, BATCH)).await;
        let mail_tokens = prune(|| self.mail_tokens.prune(now, BATCH)).await;
        let notifications = prune(|| self.notifications.prune(now - OWED, BATCH)).await;
        if let Ok(mails @ 1..) = notifications {
            tracing::warn!(mails, "mails were not sent within five days and are given up");
        }
        // Each by itself: neither waits for the other's recovery.
        for error in [keys.err(), sessions.err(), mail_tokens.err(), notifications.err()].into_iter().flatten() {
            tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping failed; will be retried");
        }
    }
}
