//! Logging in.

use std::time::Duration;

use tracing::instrument;
use uuid::Uuid;

use super::{App, Error, Grant, ports::Session, secret::RefreshToken, span, tokens::claims};
use crate::domain::{Email, Password, SessionId, Status};

/// How long sessions and their tokens live.
#[derive(Debug, Clone, Copy)]
pub struct SessionPolicy {
    /// An access token.
    pub access: Duration,
    /// A refresh token, and so a session that nobody uses.
    pub refresh: Duration,
}

impl App {
    /// Begins a session. Wrong passwords, unknown and closed accounts take the same time: each verifies one hash.
    ///
    /// # Errors
    /// No way in; too many passwords wait to be verified; the store fails.
    #[instrument(name = "service.log_in", skip_all, fields(user.id))]
    pub async fn log_in(&self, email: Option<Email>, password: Password) -> Result<Grant, Error> {
        let login = match email {
            Some(email) => self.parts.accounts.login(&email).await?,
            None => None,
        };
        let hash = login.as_ref().map(|login| login.hash.clone());
        let right = self.parts.passwords.verify(password, hash).await?;
        let login = login.filter(|login| right && login.status == Status::Active).ok_or(Error::WrongCredentials)?;
        tracing::Span::current().record("user.id", tracing::field::display(login.user));
        let session = Session { id: SessionId(Uuid::now_v7()), user: login.user, role: login.role };
        let token = RefreshToken::generate()?;
        let now = self.now();
        let end = now + span(self.parts.session.refresh);
        if !self.parts.sessions.open(&session, token.hash(), now, end).await? {
            return Err(Error::WrongCredentials);
        }
        self.grant(&session, token)
    }

    pub(super) fn grant(&self, session: &Session, token: RefreshToken) -> Result<Grant, Error> {
        let lifetime = self.parts.session.access;
        let access_token = self.parts.keys.sign(&claims(session, self.now(), lifetime))?;
        Ok(Grant { access_token, expires_in: lifetime, refresh_token: token.into_text() })
    }
}
