//! Mail over SMTP (RFC 5321), encrypted unless the URL says otherwise.

use std::time::Duration;

use async_trait::async_trait;
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp,
};

use crate::app::{
    MailText,
    ports::{Letter, MailError, Mails},
};

/// How long a step of the dialogue with the server may take.
const TIMEOUT: Duration = Duration::from_secs(8);

/// Sends mail to one server, over a connection of its own for each.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

/// What keeps mail from being sent at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL of the server.
    #[error("the URL cannot be used")]
    Url(#[source] smtp::Error),
    /// The query of the URL.
    #[error("the URL may have `?tls=none` behind it, and nothing else")]
    Query,
    /// The sender.
    #[error("`{0}` is no sender, such as `Shop <no-reply@shop.example>`")]
    Sender(String),
}

impl Smtp {
    /// Sends by a URL: `smtps://USER:PASSWORD@HOST` speaks TLS from the first byte (port 465), `smtp://…` begins it with
    /// STARTTLS (port 587) and sends nothing where the server does not offer that; `smtp://…?tls=none` is for a relay on the
    /// same machine or behind a sidecar (port 25).
    ///
    /// # Errors
    /// The URL or the sender cannot be used.
    pub fn open(url: &str, from: &str) -> Result<Self, Error> {
        let url = match url.split_once('?') {
            Some((server, "tls=none")) if server.starts_with("smtp:") => server.to_owned(),
            Some(_) => return Err(Error::Query),
            None if url.starts_with("smtp:") => format!("{url}?tls=required"),
            None => url.to_owned(),
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url).map_err(Error::Url)?;
        let from = from.parse().map_err(|_| Error::Sender(from.to_owned()))?;
        Ok(Self { transport: builder.timeout(Some(TIMEOUT)).build(), from })
    }

    fn message(&self, letter: &Letter) -> Result<Message, MailError> {
        let to: Address = letter.to.as_str().parse().map_err(refused)?;
        let MailText { subject, body } = MailText::of(&letter.content);
        Message::builder()
            .from(self.from.clone())
            .to(to.into())
            .subject(subject)
            .message_id(Some(format!("<{}@{}>", letter.id, self.from.email.domain())))
            .header(ContentType::TEXT_PLAIN)
            .body(body)
            .map_err(refused)
    }
}

fn refused(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> MailError {
    MailError::Refused(error.into())
}

#[async_trait]
impl Mails for Smtp {
    async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let sent = self.transport.send(self.message(letter)?).await;
        sent.map(drop).map_err(failed)
    }
}

/// What a failure means. The server's own words stay out of the log: they repeat the address.
fn failed(error: smtp::Error) -> MailError {
    match error.status() {
        Some(code) => meaning(code.into()),
        None => MailError::Unavailable(error.into()),
    }
}

/// What an answer means (RFC 5321, 4.2; RFC 4954, 4.6; RFC 7504).
///
/// Only some are about the mail or its reader. Others say that the server takes nothing from us at the moment, also those that it
/// calls permanent: a password that was changed (535), a sender that it does not know yet. A person mends that, and no mail
/// is lost for it.
fn meaning(code: u16) -> MailError {
    let answer = format!("the server answered {code}").into();
    match code {
        450 => MailError::Deferred(answer),
        550..=554 | 556 => MailError::Refused(answer),
        _ => MailError::Unavailable(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_about_the_mail_give_it_up() {
        for code in [550, 551, 552, 553, 554, 556] {
            assert!(matches!(meaning(code), MailError::Refused(_)), "{code}");
        }
        assert!(matches!(meaning(450), MailError::Deferred(_)));
        for code in [421, 451, 452, 454, 500, 502, 503, 521, 530, 534, 535, 538] {
            assert!(matches!(meaning(code), MailError::Unavailable(_)), "{code}");
        }
    }

    #[test]
    fn a_url_and_a_sender_are_checked_at_the_start() {
        let from = "Shop <no-reply@shop.example>";
        for good in ["smtp://127.0.0.1:2525?tls=none", "smtp://a:b@mail.example", "smtps://a:b@mail.example:465"] {
            assert!(Smtp::open(good, from).is_ok(), "{good}");
        }
        for bad in ["smtp://a?tls=opportunistic", "smtps://a?tls=none", "smtp:", "smtp://a?x=y"] {
            assert!(Smtp::open(bad, from).is_err(), "{bad}");
        }
        assert!(matches!(Smtp::open("smtp://a", "nobody"), Err(Error::Sender(_))));
    }
}
