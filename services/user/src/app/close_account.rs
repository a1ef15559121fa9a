//! Closing an account: the first half, while its owner waits.
//!
//! The closing is a saga of one step that may be repeated: order is told that the account is closing until it has
//! nothing open any more. What is left to do is a row in the store, written with the account itself, so that whatever
//! fails or is killed here is taken up by the [sweeper](super::sweep).

use std::time::Duration;

use resilience::Backoff;
use tracing::instrument;

use super::{App, Error, Expected, Requester, contention::Rounds, ports::Saved, time_duration};
use crate::domain::{Account, Status, UserId};

/// When order is asked about closing accounts.
#[derive(Debug, Clone, Copy)]
pub struct ClosingPolicy {
    /// How long the owner's request waits for order.
    pub inline_timeout: Duration,
    /// How long to wait after the first attempt; doubles with each.
    pub backoff_min: Duration,
    /// The longest wait between two attempts.
    pub backoff_max: Duration,
    /// How often the store is asked for closings that are due.
    pub poll_interval: Duration,
}

impl ClosingPolicy {
    /// How long to wait after so many attempts.
    pub fn backoff(&self, attempts: u32) -> time::Duration {
        let backoff = Backoff::new(self.backoff_min, self.backoff_max);
        time_duration(backoff.ceiling(attempts.saturating_add(1)).min(clock::HORIZON))
    }
}

impl App {
    /// Begins to close an account, any number of times, and tells order at once where it answers.
    /// From the moment this is stored nobody logs in, and the sweeper sees to the rest. Only what is new needs the owner's
    /// password: a closed account has none any more.
    ///
    /// # Errors
    /// No such account; the password is missing, wrong, or was too often; another version; others change it all the
    /// time; the store fails.
    #[instrument(name = "service.close_account", skip_all, fields(user.id = %id))]
    pub async fn close_account(&self, id: UserId, expected: Expected, requester: Requester) -> Result<Account, Error> {
        let account = self.accounts.get(id).await?.ok_or(Error::NotFound)?;
        if account.status == Status::Active {
            // Nor does an owner who is kept out erase what an operator has to look into.
            if matches!(requester, Requester::Owner(_)) {
                account.takes_changes()?;
            }
            let reauthenticated = self.reauthenticate(&account, &requester).await;
            // Another of the owner's requests may have begun the closing meanwhile: then this one repeats it.
            if self.accounts.get(id).await?.is_some_and(|account| account.status == Status::Active) {
                reauthenticated?;
            }
        }
        let mut rounds = Rounds::default();
        while rounds.next().await {
            // Not from the cache: what is decided here must hold for what is stored.
            let mut account = self.accounts.get(id).await?.ok_or(Error::NotFound)?;
            expected.check(account.version)?;
            let now = self.now();
            // Closing or closed already: a retry of the owner is answered with what there is and disturbs nothing.
            if !account.begin_closing(now) {
                return Ok(account);
            }
            // Due only once the inline attempt below must have ended, so that the sweeper does not ask order at the
            // same time; but due at all, so that a process killed right after the commit leaves nothing forgotten.
            let wait = self.closing.inline_timeout + self.closing.backoff_min;
            let due_at = now + time_duration(wait.min(clock::HORIZON));
            // Anything but stored means that somebody else wrote in between: decided anew on what they wrote.
            if let Saved::Stored(account) = self.closings.begin(&account, due_at).await? {
                self.invalidate_cached(id).await;
                self.notify_order(id).await;
                return Ok(account);
            }
        }
        Err(Error::Contended)
    }

    /// Tells order that an account is closing. The owner gets the same answer whatever comes of it: the closing is
    /// stored, and the sweeper goes on from here.
    async fn notify_order(&self, id: UserId) {
        // The caller's own deadline may be nearer than the configured timeout.
        let timeout = telemetry::remaining(self.closing.inline_timeout);
        let answer = tokio::time::timeout(timeout, self.orders.close_account(id)).await;
        let rescheduled = match answer {
            // Nothing is open. The account is not finished here but by the sweeper, which is the only one that does:
            // the owner's answer says `closing` whatever order's state was.
            Ok(Ok(0)) => self.wake_closing(id).await,
            other => {
                if !matches!(other, Ok(Ok(_))) {
                    tracing::info!(user.id = %id, "order could not be notified of a closing account; will be retried");
                }
                let now = self.now();
                let due_at = now + self.closing.backoff(0);
                // With no wake-ups counted yet: one that came while order was being asked makes the closing due now.
                self.closings.postpone(id, 0, now, due_at).await.map_err(Error::from)
            }
        };
        if let Err(error) = rescheduled {
            // Not the owner's concern: the row is due by itself a moment later than asked for here.
            tracing::info!(
                user.id = %id,
                error = &error as &dyn std::error::Error,
                "closing could not be rescheduled; it is due at its first time"
            );
        }
    }

    /// Makes a closing due, if there is one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn wake_closing(&self, id: UserId) -> Result<(), Error> {
        if self.closings.wake(id, self.now()).await? {
            self.closing_due.notify_one();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_limit() {
        let policy = ClosingPolicy {
            inline_timeout: Duration::from_secs(1),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            poll_interval: Duration::from_secs(1),
        };
        assert_eq!(policy.backoff(0), time::Duration::milliseconds(200));
        assert_eq!(policy.backoff(3), time::Duration::milliseconds(1600));
        assert_eq!(policy.backoff(u32::MAX), time::Duration::seconds(30));
    }
}
