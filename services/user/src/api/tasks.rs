//! Tasks: what this service has recorded for itself to be done later.

use std::sync::Arc;

use async_trait::async_trait;
use messaging::{Event, Handler, HandlerError, Receipt};

use crate::app::{
    App, Error, notify,
    ports::{MailError, StoreError},
};

/// The consumer group of [`MailTasks`].
pub const MAIL_GROUP: &str = "user-mail";
/// What [`MailTasks`] handles: mails that are owed.
pub const MAIL_KINDS: &[&str] = &[notify::TASK];

/// Sends the mails that are owed.
pub struct MailTasks {
    app: Arc<App>,
}

impl MailTasks {
    /// Has `app` send them.
    pub fn new(app: Arc<App>) -> Self {
        Self { app }
    }
}

#[async_trait]
impl Handler for MailTasks {
    /// The receipt is the row of the mail, which is deleted once it is sent.
    async fn handle(&self, task: &Event, _: Receipt) -> Result<(), HandlerError> {
        self.app.send_notification(task).await.map_err(|error| match error {
            // Every mail needs both: all of them wait, and none is given up.
            Error::Store(StoreError::Unavailable(_)) | Error::Mail(MailError::Unavailable(_)) => {
                HandlerError::unavailable(error)
            }
            Error::Mail(MailError::Refused(_)) | Error::UnreadableTask(_) => HandlerError::permanent(error),
            error => HandlerError::transient(error),
        })
    }
}
