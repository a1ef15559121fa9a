//! Sending a mail that is owed: what a task does.
//!
//! The mail is sent once for all that can be done about it. It is owed as long as its row is there, and the row goes when the
//! server has taken it: a task that comes again finds nothing to do. What is left is the moment between the two: where the
//! process ends there, or loses its lease, or the store is away, the mail is sent once more, under the same `Message-ID`.

use std::time::Duration;

use messaging::Event;
use resilience::Backoff;
use tracing::instrument;
use uuid::Uuid;

use super::{
    App, Error,
    notify::Data,
    ports::{Content, Letter, MailError},
};

/// How long the server may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The pauses between the tries to note that a mail was sent.
const BACKOFF: Backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));

impl App {
    /// Sends the mail of a task unless it was sent before.
    ///
    /// # Errors
    /// The store or the server of mail fails, or refuses.
    #[instrument(name = "service.send_notification", skip_all, fields(user.id))]
    pub async fn send_notification(&self, task: &Event) -> Result<(), Error> {
        let (user, what) = task.decode::<Data>().map_err(Error::UnreadableTask)?.read();
        tracing::Span::current().record("user.id", tracing::field::display(user));
        let Some(to) = self.notifications.begin(task.id).await? else {
            tracing::debug!(user.id = %user, mail.purpose = what.purpose(), "a mail is not owed any more");
            return Ok(());
        };
        let letter = Letter { id: task.id, user, to, content: Content::Notification(what) };
        let sent = tokio::time::timeout(TIMEOUT, self.mails.send(&letter)).await;
        let sent = sent.unwrap_or_else(|elapsed| Err(MailError::Unavailable(elapsed.into())));
        self.mail_queue.count(letter.purpose(), &sent);
        sent?;
        self.note_sent(task.id).await;
        Ok(())
    }

    /// Notes that a mail was sent, as long as the task may take: the store was there a moment ago.
    async fn note_sent(&self, task: Uuid) {
        let mut attempt = 0;
        while let Err(error) = self.notifications.finish(task).await {
            attempt += 1;
            tracing::warn!(error = &error as &dyn std::error::Error, "cannot note that a mail was sent");
            tokio::time::sleep(BACKOFF.delay(attempt)).await;
        }
    }
}
