//! Going on with a session.

use tracing::instrument;

use super::{App, Error, Grant, secret, span};

impl App {
    /// Uses up a refresh token for new tokens. A second use ends the session.
    ///
    /// # Errors
    /// The token lets nobody in; the store fails.
    #[instrument(name = "service.refresh", skip_all, fields(user.id))]
    pub async fn refresh(&self, token: &str) -> Result<Grant, Error> {
        let new = secret::RefreshToken::generate()?;
        let now = self.now();
        let end = now + span(self.parts.session.refresh);
        let rotated = self.parts.sessions.rotate(&secret::hash(token), new.hash(), now, end).await?;
        let session = rotated.ok_or(Error::WrongRefreshToken)?;
        tracing::Span::current().record("user.id", tracing::field::display(session.user));
        self.grant(&session, new)
    }
}
