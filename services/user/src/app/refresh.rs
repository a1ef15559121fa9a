//! Going on with a session.

use tracing::instrument;

use super::{
    App, Error, TokenPair,
    ports::Renewal,
    refresh_token::{self, RefreshToken},
    time_duration,
};

impl App {
    /// Exchanges a refresh token for its successor. For a moment it may be shown again: an answer that was lost on the way
    /// is given once more, and so it is to two tabs at once. Any other second use ends the session (RFC 9700, section 4.14.2).
    ///
    /// # Errors
    /// The token is not valid; the store fails.
    #[instrument(name = "service.refresh", skip_all, fields(user.id))]
    pub async fn refresh(&self, token: &str) -> Result<TokenPair, Error> {
        let (now, seed) = (self.now(), refresh_token::seed()?);
        let renewal = Renewal {
            token: refresh_token::hash(token),
            successor: *RefreshToken::successor(token, &seed).hash(),
            seed,
            now,
            // Each use begins the lifetime anew: a session ends when nobody used it for so long.
            expires_at: now + time_duration(self.session.refresh),
        };
        let renewed = self.sessions.renew(&renewal).await?.ok_or(Error::WrongRefreshToken)?;
        let session = renewed.session;
        tracing::Span::current().record("user.id", tracing::field::display(session.user));
        // By the seed that is stored: after a second use that is the first one's, and so is the successor.
        self.issue_tokens(&session, RefreshToken::successor(token, &renewed.seed))
    }
}
