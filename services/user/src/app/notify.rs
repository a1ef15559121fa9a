//! The owner of an account is told by mail of what has happened: recorded with it, sent later by a task.

use aws_lc_rs::digest::{Context, SHA256};
use messaging::{Event, Receipt};
use money::Money;
use serde::{Deserialize, Serialize};
use time::{Duration, OffsetDateTime};
use tracing::instrument;
use uuid::Uuid;

use super::{App, Error, published::SOURCE};
use crate::domain::{Notification, Order, UserId};

/// The type of the tasks; its schema is in `proto/events`.
pub const TASK: &str = "user.send_mail.v1";
/// What is older is nobody's news any more: a log that is restored, or read from its beginning, sends no mail.
const FRESH: Duration = Duration::DAY;

/// What somebody is to be told.
#[derive(Debug, Clone, Copy)]
pub struct News {
    /// Whose account.
    pub user: UserId,
    /// What.
    pub what: Notification,
    /// The event that says so.
    pub event: Uuid,
    /// When it happened.
    pub at: OffsetDateTime,
}

/// The data of a task: what the mail says, and nothing personal. Where it goes is in the store.
#[derive(Debug, Serialize, Deserialize)]
pub struct Data {
    user_id: Uuid,
    #[serde(flatten)]
    what: What,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "snake_case")]
enum What {
    OrderConfirmed { order_id: Uuid, total: Money },
    OrderRefunded { order_id: Uuid, total: Money },
    AccountClosed,
}

impl News {
    /// The task that sends the mail.
    ///
    /// # Errors
    /// It cannot be serialized.
    pub fn task(&self, now: OffsetDateTime) -> Result<Event, Error> {
        let what = match self.what {
            Notification::OrderConfirmed(Order { id, total }) => What::OrderConfirmed { order_id: id, total },
            Notification::OrderRefunded(Order { id, total }) => What::OrderRefunded { order_id: id, total },
            Notification::AccountClosed => What::AccountClosed,
        };
        let data = Data { user_id: self.user.0, what };
        Event::task(TASK, SOURCE, task_id(self.event), now, data).map_err(Error::internal)
    }
}

/// The task of an event: `UUIDv8` of the first 16 bytes of SHA-256(the task's type ‖ 0 ‖ the event's id), so that an event has
/// one task and one mail, however often it comes.
fn task_id(event: Uuid) -> Uuid {
    let mut hash = Context::new(&SHA256);
    hash.update(TASK.as_bytes());
    hash.update(&[0]);
    hash.update(event.as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash.finish().as_ref()[..16]);
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

impl Data {
    /// Whose mail it is, and what it says.
    pub fn read(self) -> (UserId, Notification) {
        let what = match self.what {
            What::OrderConfirmed { order_id, total } => Notification::OrderConfirmed(Order { id: order_id, total }),
            What::OrderRefunded { order_id, total } => Notification::OrderRefunded(Order { id: order_id, total }),
            What::AccountClosed => Notification::AccountClosed,
        };
        (UserId(self.user_id), what)
    }
}

impl App {
    /// Records a mail of something that changes nothing else here, once per receipt.
    ///
    /// # Errors
    /// The store fails.
    #[instrument(name = "service.notify", skip_all, fields(user.id = %news.user))]
    pub async fn notify(&self, news: &News, receipt: Receipt) -> Result<(), Error> {
        if let Some(task) = self.task_of(news)? {
            self.notifications.record(news.user, &task, receipt).await?;
        }
        Ok(())
    }

    /// The task that tells the news; none where nobody is to be told, or it is no news any more.
    pub(super) fn task_of(&self, news: &News) -> Result<Option<Event>, Error> {
        let now = self.now();
        let is_told = self.notifies && now - news.at <= FRESH;
        is_told.then(|| news.task(now)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(event: u128) -> Event {
        let (user, event) = (UserId(Uuid::from_u128(1)), Uuid::from_u128(event));
        let news = News { user, what: Notification::AccountClosed, event, at: OffsetDateTime::UNIX_EPOCH };
        news.task(OffsetDateTime::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn an_event_has_one_task_which_waits_for_no_other() {
        assert_eq!(task(1).id, task(1).id);
        assert_ne!(task(1).id, task(2).id);
        assert_eq!((task(1).key, task(1).id.get_version_num()), (task(1).id.to_string(), 8));
    }
}
