//! What has to be done now and then.

use super::{App, Error};

impl App {
    /// Has the signing keys take turns and drops sessions that ended. What fails is tried again next time:
    /// the known keys go on signing.
    pub async fn keep_up(&self, pruned: u32) {
        let keys = self.parts.keys.turn().await;
        let sessions = self.parts.sessions.prune(self.now(), pruned).await.map_err(Error::from);
        for error in [keys.err(), sessions.err()].into_iter().flatten() {
            tracing::warn!(error = &error as &dyn std::error::Error, "upkeep failed and will be tried again");
        }
    }
}
