//! Showing that the address of an account is its owner's.

use std::net::IpAddr;

use time::OffsetDateTime;
use tracing::instrument;

use super::{App, Error, mail_queue::Job, opaque_token};
use crate::domain::{Account, Email, MailPurpose, UserId};

impl App {
    /// Sends the owner of an active account a token for its address.
    ///
    /// # Errors
    /// The account takes no changes; too many mails were asked for, or wait.
    #[instrument(name = "service.request_verification", skip_all, fields(user.id = %user))]
    pub async fn request_verification(&self, user: UserId, client: Option<IpAddr>) -> Result<(), Error> {
        let account = self.own_account(user).await?;
        account.takes_changes()?;
        self.queue_verification(&account, client).await
    }

    /// The same after an account was opened or has another address, as long as that is not done too often: whoever does so
    /// again and again has no mail sent to others. It can be asked for.
    pub(super) async fn offer_verification(&self, account: &Account, client: Option<IpAddr>) {
        if let Err(error) = self.queue_verification(account, client).await {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(user.id = %account.id, error, "no mail to confirm an address is sent");
        }
    }

    async fn queue_verification(&self, account: &Account, client: Option<IpAddr>) -> Result<(), Error> {
        self.attempts.begin_mail(MailPurpose::VerifyEmail.as_str(), account.email.as_ref(), client).await?;
        self.mail_queue.add(Job::Verification(account.id))
    }

    /// Uses up a token: the address is verified.
    ///
    /// # Errors
    /// The token is not valid; the store fails.
    #[instrument(name = "service.verify_email", skip_all)]
    pub async fn verify_email(&self, token: &str) -> Result<(), Error> {
        let (token, now) = (opaque_token::hash(token), self.now());
        // First: a token that was guessed keeps no writer waiting.
        let verified = self.mail_tokens.is_valid(&token, MailPurpose::VerifyEmail, now).await?
            && self.mail_tokens.verify_email(&token, now).await?;
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
