//! Ending sessions, and seeing which there are.

use tracing::instrument;

use super::{App, Error, ports::OpenSession};
use crate::domain::{SessionId, UserId};

impl App {
    /// Revokes the session that the caller's token belongs to, any number of times.
    ///
    /// # Errors
    /// The account is closing or closed (its sessions are revoked already); the store fails.
    #[instrument(name = "service.log_out", skip_all, fields(user.id = %user))]
    pub async fn log_out(&self, user: UserId, session: SessionId) -> Result<(), Error> {
        self.may_change(user).await?;
        self.sessions.revoke(user, session, self.now()).await?;
        Ok(())
    }

    /// Revokes any session of the caller's, any number of times.
    ///
    /// # Errors
    /// The account is closing or closed; it has no such session; the store fails.
    #[instrument(name = "service.revoke_session", skip_all, fields(user.id = %user))]
    pub async fn revoke_session(&self, user: UserId, session: SessionId) -> Result<(), Error> {
        self.may_change(user).await?;
        if self.sessions.revoke(user, session, self.now()).await? { Ok(()) } else { Err(Error::NoSession) }
    }

    /// Up to `limit` sessions of an account that go on, youngest first, those after `after`.
    ///
    /// # Errors
    /// There is no such account; the store fails.
    #[instrument(name = "service.list_sessions", skip_all, fields(user.id = %user))]
    pub async fn list_sessions(
        &self,
        user: UserId,
        after: Option<SessionId>,
        limit: u32,
    ) -> Result<Vec<OpenSession>, Error> {
        self.own_account(user).await?;
        Ok(self.sessions.list(user, self.now(), after, limit).await?)
    }
}
