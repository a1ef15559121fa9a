//! Closing an account: the first half, while its owner waits.

use std::time::Duration;

use tracing::instrument;

use super::{App, Error, Expected, ports::Saved, span};
use crate::domain::{Account, UserId};

/// How often a closing that any version may take is tried when others write at the same time.
const TRIES: usize = 8;

/// When order is asked about closing accounts.
#[derive(Debug, Clone, Copy)]
pub struct ClosingPolicy {
    /// How long the owner waits for order to be told.
    pub at_once: Duration,
    /// How long to wait after the first attempt; doubles with each.
    pub backoff_min: Duration,
    /// The longest wait.
    pub backoff_max: Duration,
    /// How often the store is asked for closings that are due.
    pub poll: Duration,
}

impl ClosingPolicy {
    /// How long to wait after so many attempts.
    pub fn backoff(&self, attempts: u32) -> time::Duration {
        let factor = 2_u32.saturating_pow(attempts.min(16));
        span(self.backoff_min.saturating_mul(factor).min(self.backoff_max))
    }
}

impl App {
    /// Begins to close an account, any number of times, and tells order at once where it answers.
    /// From the moment this is stored nobody logs in, and the sweeper sees to the rest.
    ///
    /// # Errors
    /// No such account; another version; the store fails.
    #[instrument(name = "service.close_account", skip_all, fields(user.id = %id))]
    pub async fn close_account(&self, id: UserId, expected: Expected) -> Result<Account, Error> {
        for _ in 0..TRIES {
            let mut account = self.parts.accounts.get(id).await?.ok_or(Error::NotFound)?;
            expected.check(account.version)?;
            let now = self.now();
            if !account.begin_closing(now) {
                return Ok(account);
            }
            let first = now + span(self.parts.closing.at_once) + span(self.parts.closing.backoff_min);
            if let Saved::Stored(account) = self.parts.accounts.begin_closing(&account, first).await? {
                self.forget(id).await;
                self.tell_order(id).await;
                return Ok(account);
            }
        }
        Err(Error::Stale)
    }

    /// Tells order that an account is closing. Whatever comes of it, the sweeper goes on from here.
    async fn tell_order(&self, id: UserId) {
        let at_once = telemetry::remaining(self.parts.closing.at_once);
        let told = tokio::time::timeout(at_once, self.parts.orders.close_account(id)).await;
        let result = match told {
            Ok(Ok(0)) => self.wake_closing(id).await,
            other => {
                if !matches!(other, Ok(Ok(_))) {
                    tracing::info!(user.id = %id, "order was not told of a closing account yet");
                }
                let now = self.now();
                let next = now + self.parts.closing.backoff(0);
                self.parts.accounts.postpone_closing(id, 0, now, next).await.map_err(Error::from)
            }
        };
        if let Err(error) = result {
            tracing::info!(user.id = %id, error = &error as &dyn std::error::Error, "a closing waits for the sweeper");
        }
        self.closings_due.notify_one();
    }

    /// Makes a closing due, if there is one.
    ///
    /// # Errors
    /// The store fails.
    pub async fn wake_closing(&self, id: UserId) -> Result<(), Error> {
        if self.parts.accounts.wake_closing(id, self.now()).await? {
            self.closings_due.notify_one();
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
            at_once: Duration::from_secs(1),
            backoff_min: Duration::from_millis(200),
            backoff_max: Duration::from_secs(30),
            poll: Duration::from_secs(1),
        };
        assert_eq!(policy.backoff(0), time::Duration::milliseconds(200));
        assert_eq!(policy.backoff(3), time::Duration::milliseconds(1600));
        assert_eq!(policy.backoff(u32::MAX), time::Duration::seconds(30));
    }
}
