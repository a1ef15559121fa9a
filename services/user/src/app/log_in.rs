//! Logging in.

use std::{net::IpAddr, sync::LazyLock, time::Duration};

use opentelemetry::metrics::Counter;
use semconv::{attributes, metrics};
use tracing::instrument;
use uuid::Uuid;

use super::{
    App, Error, TokenPair,
    opaque_token::OpaqueToken,
    ports::{Login, NewSession, Session},
    time_duration,
    tokens::claims,
};
use crate::domain::{Email, Password, SessionId};

static LOGINS: LazyLock<Counter<u64>> = LazyLock::new(|| metrics::USER_LOGINS.instrument());

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
    /// `client` is the address that the request came from, where that is known.
    ///
    /// # Errors
    /// The credentials are wrong, or were too often; too many passwords wait to be verified; the store fails.
    #[instrument(name = "service.log_in", skip_all, fields(user.id))]
    pub async fn log_in(
        &self,
        email: Option<Email>,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<TokenPair, Error> {
        let outcome = self.begin_session(email, password, client).await;
        let name = match &outcome {
            Ok(_) => "succeeded",
            Err(Error::WrongCredentials) => "wrong_credentials",
            Err(Error::TooManyAttempts { .. }) => "too_many_attempts",
            Err(_) => "failed",
        };
        LOGINS.add(1, &[attributes::LOGIN_OUTCOME.of(name)]);
        outcome
    }

    async fn begin_session(
        &self,
        email: Option<Email>,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<TokenPair, Error> {
        let login = self.authenticate(email, password, client).await?.ok_or(Error::WrongCredentials)?;
        tracing::Span::current().record("user.id", tracing::field::display(login.user));
        let session = Session { id: SessionId(Uuid::now_v7()), user: login.user, role: login.role };
        let (token, now) = (OpaqueToken::generate()?, self.now());
        let expires_at = now + time_duration(self.session.refresh);
        let new = NewSession { session, token: *token.hash(), password: login.hash, now, expires_at };
        // The account may have begun to close, or its password have changed, while this one was verified: the store looks
        // once more.
        if !self.sessions.open(&new).await? {
            return Err(Error::WrongCredentials);
        }
        self.issue_tokens(&session, token)
    }

    /// Whose credentials these are, if they are right. The attempt counts unless they are, or nobody could look.
    pub(super) async fn authenticate(
        &self,
        email: Option<Email>,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<Option<Login>, Error> {
        let attempt = self.attempts.begin(email.as_ref(), client).await?;
        let verified = self.verify(email, password, client).await;
        match &verified {
            Ok(Some(_)) => self.attempts.was_right(&attempt).await,
            Ok(None) => {}
            Err(_) => self.attempts.was_not_verified(&attempt).await,
        }
        verified
    }

    async fn verify(
        &self,
        email: Option<Email>,
        password: Password,
        client: Option<IpAddr>,
    ) -> Result<Option<Login>, Error> {
        // What cannot be an address is an unknown one: an answer of its own would be given without a hash, faster.
        let login = match email {
            Some(email) => self.accounts.login(&email).await?,
            None => None,
        };
        let hash = login.as_ref().map(|login| login.hash.clone());
        // Before the status is looked at, so that a closing account is not told from an open one by its time.
        let right = self.passwords.verify(password, hash, client).await?;
        Ok(login.filter(|login| right && login.is_active))
    }

    /// The tokens of a session that is stored with this refresh token.
    pub(super) fn issue_tokens(&self, session: &Session, token: OpaqueToken) -> Result<TokenPair, Error> {
        let lifetime = self.session.access;
        let access_token = self.keys.sign(&claims(session, self.now(), lifetime))?;
        Ok(TokenPair { access_token, expires_in: lifetime, refresh_token: token.into_text() })
    }
}
