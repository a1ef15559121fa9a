//! Mail that is not sent but noted in the log, where there is no server for it.

use async_trait::async_trait;

use crate::app::ports::{Letter, MailError, Mails};

/// Notes that a mail would have been sent, and to whose account. On request also what only its reader may know.
pub struct LogMail {
    shows_token: bool,
}

impl LogMail {
    /// Reads `log:`, or `log:?show=token` for a service that nobody but its developer uses, and warns of what that means;
    /// `None` is another URL.
    pub fn open(url: &str) -> Option<Self> {
        match url {
            "log:" => {
                tracing::warn!(
                    "mail.url names no server: no mail is sent, and nobody can replace a forgotten password"
                );
                Some(Self { shows_token: false })
            }
            "log:?show=token" => {
                tracing::warn!("mail.url has tokens logged: whoever reads this log can take over every account");
                Some(Self { shows_token: true })
            }
            _ => None,
        }
    }
}

#[async_trait]
impl Mails for LogMail {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let token = letter.token().filter(|_| self.shows_token);
        tracing::info!(
            user.id = %letter.user,
            mail.purpose = letter.purpose(),
            mail.token = token,
            "no server for mail is configured: mail is only noted here"
        );
        Ok(())
    }
}
