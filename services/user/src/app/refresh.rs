//! Going on with a session.

use tracing::instrument;

use super::{
    App, Error, TokenPair,
    refresh_token::{self, RefreshToken},
    time_duration,
};

impl App {
    /// Uses up a refresh token for new tokens. A second use ends the session (RFC 9700, section 4.14.2).
    ///
    /// # Errors
    /// The token is not valid; the store fails.
    #[instrument(name = "service.refresh", skip_all, fields(user.id))]
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, Error> {
        // Made before anything is known of the old one: the store exchanges them in one transaction, so that there is
        // never a moment at which both are valid, or none of them.
        let new = RefreshToken::generate()?;
        let now = self.now();
        // Each use begins the lifetime anew: a session ends when nobody used it for so long.
        let expires_at = now + time_duration(self.session.refresh);
        let rotated = self.sessions.rotate(&refresh_token::hash(token), new.hash(), now, expires_at).await?;
        let session = rotated.ok_or(Error::WrongRefreshToken)?;
        tracing::Span::current().record("user.id", tracing::field::display(session.user));
        // An owner whose answer is lost on the way has to log in again: a token that was given out twice could not be told
        // from a stolen one.
        self.issue_tokens(&session, new)
    }
}
