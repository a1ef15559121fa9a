//! Another password for whoever has forgotten theirs and gets the mail of the account's address.

use std::net::IpAddr;

use tracing::instrument;

use super::{App, Error, mail_queue::Job, opaque_token};
use crate::domain::{Email, MailPurpose, Password};

impl App {
    /// Sends a token to the account with this address, if there is one. The answer and its time are the same if there is
    /// none: all that differs is done later. `email` is `None` where what was typed cannot be an address.
    ///
    /// # Errors
    /// Too many mails were asked for, or wait.
    #[instrument(name = "service.request_password_reset", skip_all)]
    pub async fn request_password_reset(&self, email: Option<Email>, client: Option<IpAddr>) -> Result<(), Error> {
        self.attempts.begin_mail(MailPurpose::ResetPassword.as_str(), email.as_ref(), client).await?;
        email.map_or(Ok(()), |email| self.mail_queue.add(Job::Reset(email)))
    }

    /// Uses up a token: the account has another password, and all its sessions end.
    ///
    /// # Errors
    /// The token is not valid; too many passwords wait to be hashed; the store fails.
    #[instrument(name = "service.reset_password", skip_all)]
    pub async fn reset_password(&self, token: &str, new: Password, client: Option<IpAddr>) -> Result<(), Error> {
        let token = opaque_token::hash(token);
        // First: nobody has a password hashed for a token that was guessed.
        if !self.mail_tokens.is_valid(&token, MailPurpose::ResetPassword, self.now()).await? {
            return Err(Error::WrongMailToken);
        }
        let hash = self.passwords.hash(new, client).await?;
        let reset = self.mail_tokens.reset_password(&token, &hash, self.now()).await?;
        if reset { Ok(()) } else { Err(Error::WrongMailToken) }
    }
}
