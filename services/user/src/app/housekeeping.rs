//! What has to be done now and then: signing keys are rotated, expired sessions and tokens deleted.

use std::{sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, Error};
use crate::domain::key_rotation::READ_EVERY;

/// How long between two rounds.
const INTERVAL: Duration = READ_EVERY;
/// How many of each are deleted in one round.
const BATCH: u32 = 1000;
/// How long a mail is owed: as long as a server of mail would try (RFC 5321, 4.5.4.1). Then its address is deleted.
const OWED: time::Duration = time::Duration::days(5);

/// Does it again and again until the token is cancelled. The first round is one interval away: the keys were read,
/// and rotated if need be, when the process started.
pub async fn run(app: Arc<App>, token: CancellationToken) {
    while token.run_until_cancelled(tokio::time::sleep(INTERVAL)).await.is_some() {
        app.keep_house().await;
    }
}

impl App {
    /// Rotates the signing keys and deletes what has expired.
    /// What fails is tried again in the next round: until then the known keys go on signing.
    pub async fn keep_house(&self) {
        let keys = self.keys.rotate().await;
        let sessions = self.sessions.prune(self.now(), BATCH).await.map_err(Error::from);
        let mail_tokens = self.mail_tokens.prune(self.now(), BATCH).await.map_err(Error::from);
        let notifications = self.notifications.prune(self.now() - OWED, BATCH).await.map_err(Error::from);
        if let Ok(mails @ 1..) = notifications {
            tracing::warn!(mails, "mails were not sent within five days and are given up");
        }
        // Each by itself: neither waits for the other's recovery.
        for error in [keys.err(), sessions.err(), mail_tokens.err(), notifications.err()].into_iter().flatten() {
            tracing::warn!(error = &error as &dyn std::error::Error, "housekeeping failed; will be retried");
        }
    }
}
