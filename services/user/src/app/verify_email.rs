//! Showing that the address of an account is its owner's.

use std::net::IpAddr;

use time::OffsetDateTime;
use tracing::instrument;

use super::{App, Error, mail_queue::Job, opaque_token};
use crate::domain::{Email, UserId};

impl App {
    /// Sends the owner of an active account a token for its address.
    ///
    /// # Errors
    /// The account takes no changes; too many mails were asked for, or wait.
    #[instrument(name = "service.request_verification", skip_all, fields(user.id = %user))]
    pub async fn request_verification(&self, user: UserId, client: Option<IpAddr>) -> Result<(), Error> {
        self.may_change(user).await?;
        let account = self.own_account(user).await?;
        self.attempts.begin_mail(account.email.as_ref(), client).await?;
        self.mail_queue.add(Job::Verification(user))
    }

    /// The same after an account was opened or has another address. Nobody waits for it: it can be asked for.
    pub(super) fn offer_verification(&self, user: UserId) {
        if let Err(error) = self.mail_queue.add(Job::Verification(user)) {
            let error: &dyn std::error::Error = &error;
            tracing::info!(user.id = %user, error, "no mail to confirm an address is sent");
        }
    }

    /// Uses up a token: the address is verified.
    ///
    /// # Errors
    /// The token is not valid; the store fails.
    #[instrument(name = "service.verify_email", skip_all)]
    pub async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let verified = self.mail_tokens.verify_email(&opaque_token::hash(token), self.now()).await?;
        if verified { Ok(()) } else { Err(Error::WrongMailToken) }
    }

    /// The address of an account, and when it was verified.
    ///
    /// # Errors
    /// There is no such account; the store fails.
    pub async fn verification(&self, user: UserId) -> Result<(Option<Email>, Option<OffsetDateTime>), Error> {
        let account = self.own_account(user).await?;
        Ok((account.email, self.mail_tokens.verified_at(user).await?))
    }
}
