//! Ending a session.

use tracing::instrument;

use super::{App, Error};
use crate::domain::{NotActive, SessionId, Status, UserId};

impl App {
    /// Revokes the session that the caller's token belongs to, any number of times.
    ///
    /// # Errors
    /// The account is closing or closed (its sessions are revoked already); the store fails.
    #[instrument(name = "service.log_out", skip_all, fields(user.id = %user))]
    pub async fn log_out(&self, user: UserId, session: SessionId) -> Result<(), Error> {
        if self.own_account(user).await?.status != Status::Active {
            return Err(NotActive.into());
        }
        Ok(self.sessions.revoke(session, self.now()).await?)
    }
}
