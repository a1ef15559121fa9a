//! What has to be done now and then: the ids of old webhooks are deleted.

use std::{error::Error as StdError, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{App, Error};

/// How long between two rounds.
const INTERVAL: Duration = Duration::from_mins(5);

/// How many are deleted at a time: a statement is soon over, and on `SQLite` others write in between.
const BATCH: u32 = 1_000;

/// Ids of webhooks are kept this long: at least 24 h are promised.
const WEBHOOK_RETENTION: time::Duration = time::Duration::hours(48);

/// Does it again and again until the token is cancelled; what is left then is done by the next process.
pub async fn run(app: Arc<App>, token: CancellationToken) {
    token.run_until_cancelled(keep_house_forever(&app)).await;
}

async fn keep_house_forever(app: &App) {
    loop {
        if let Err(error) = app.keep_house().await {
            tracing::warn!(error = &error as &dyn StdError, "housekeeping failed; will be retried");
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl App {
    /// Deletes batch after batch until one is not full: what came within a round is gone after it, however much that is.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn keep_house(&self) -> Result<(), Error> {
        let before = self.now() - WEBHOOK_RETENTION;
        while self.payments.delete_webhooks(before, BATCH).await? >= u64::from(BATCH) {}
        Ok(())
    }
}
