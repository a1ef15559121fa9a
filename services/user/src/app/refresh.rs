//! Going on with a session.

use tracing::instrument;

use super::{
    App, Error, TokenPair,
    opaque_token::{self, OpaqueToken},
    ports::Renewal,
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
        let (now, seed) = (self.now(), opaque_token::seed()?);
        let renewal = Renewal {
            token: opaque_token::hash(token),
            successor: *OpaqueToken::successor(token, &seed).hash(),
            seed,
            now,
            // Each use begins the lifetime anew: a session ends when nobody used it for so long.
            expires_at: now + time_duration(self.session.refresh),
        };
        let renewed = self.sessions.renew(&renewal).await?.ok_or(Error::WrongRefreshToken)?;
        let session = renewed.session;
        tracing::Span::current().record("user.id", tracing::field::display(session.user));
        // By the seed that is stored: after a second use that is the first one's, and so is the successor.
        self.issue_tokens(&session, OpaqueToken::successor(token, &renewed.seed))
    }
}
