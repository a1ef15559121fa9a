//! Closing an account: the second half, until order has nothing open.
//!
//! Any number of processes sweep the same store: claiming a closing hides it from the others for a while, and a process
//! that dies with it only delays it. Each step may be repeated: order answers the same question again, and of two that
//! finish an account the version lets one through.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use messaging::{Effects, Event};
use resilience::Outage;
use tokio_util::sync::CancellationToken;

use super::{
    App, Error, News,
    ports::{DueClosing, Saved},
    published, time_duration,
};
use crate::domain::{DomainEvent, Email, Notification, UserId};

/// How many closings are claimed at once.
const BATCH: u32 = 16;
/// How long a claimed closing is hidden from other processes; longer than order is given to answer.
const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(30);

/// Goes on with closings that are due, again and again until the token is cancelled.
pub async fn run(app: Arc<App>, token: CancellationToken) {
    let outage = Outage::default();
    while !token.is_cancelled() {
        // Cancelled in the middle, a claimed closing becomes due again when its visibility timeout is over.
        let pause = match token.run_until_cancelled(app.sweep()).await {
            None => return,
            Some(Ok(settled)) => {
                if let Some(failures) = outage.ended() {
                    tracing::info!(failures, "closings are swept again");
                }
                if settled > 0 {
                    // There may be more than one batch.
                    continue;
                }
                app.closing.poll_interval
            }
            Some(Err(error)) => {
                if let Some(failures) = outage.failed() {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, failures, "sweep of closings failed; will be retried");
                }
                app.closing.backoff_max
            }
        };
        // `Notify` keeps one wake-up that comes while nobody waits, so one between the sweep and here is not lost.
        let wait = tokio::time::timeout(pause, app.closing_due.notified());
        if token.run_until_cancelled(wait).await.is_none() {
            return;
        }
    }
}

impl App {
    /// Asks order about each closing that is due; says how many were.
    ///
    /// # Errors
    /// The store fails. What is left to do is due again later.
    pub async fn sweep(&self) -> Result<usize, Error> {
        let now = self.now();
        let due = self.closings.claim_due(now, now + time_duration(VISIBILITY_TIMEOUT), BATCH).await?;
        // Each in a trace that is linked to the request that began it, under its canary mark, which order and the event see.
        let all = due.iter().map(|closing| {
            let span = tracing::info_span!("service.settle_closing", user.id = %closing.user);
            telemetry::background(&closing.carrier, None, span, self.settle(closing))
        });
        // One bad account holds up nobody else: it is due again when its visibility timeout is over.
        for (closing, settled) in due.iter().zip(join_all(all).await) {
            if let Err(error) = settled {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(user.id = %closing.user, error, "an account could not be closed; will be retried");
            }
        }
        Ok(due.len())
    }

    /// Tells order again, and finishes the account when it has nothing open.
    async fn settle(&self, due: &DueClosing) -> Result<(), Error> {
        match self.orders.close_account(due.user).await {
            // Order takes no new orders of a closing account, so nothing can be opened between its answer and the end.
            Ok(0) => return self.finish_closing(due.user).await,
            Ok(open) => tracing::debug!(user.id = %due.user, open, "closing account still has open orders"),
            Err(error) => tracing::info!(
                user.id = %due.user,
                error = &error as &dyn std::error::Error,
                "order could not be notified of a closing account; will be retried"
            ),
        }
        let now = self.now();
        let due_at = now + self.closing.backoff(due.attempts);
        // `wakes` is what it was when order was asked: an event that came since may say that its answer is outdated,
        // and then the store makes the closing due now instead of later.
        Ok(self.closings.postpone(due.user, due.wakes, now, due_at).await?)
    }

    async fn finish_closing(&self, id: UserId) -> Result<(), Error> {
        let mut account = self.accounts.get(id).await?.ok_or(Error::NotFound)?;
        // False when another process, whose claim outlasted ours or ours its, has finished it.
        let (now, email) = (self.now(), account.email.clone());
        if account.finish_closing(now) {
            let effects = published::effects(DomainEvent::Closed, id, now)?;
            let task = self.farewell(id, email.as_ref(), &effects).await?;
            // Stale means the same: `user.closed.v1` is stored once, with the one write that won.
            if let Saved::Stored(_) = self.closings.finish(&account, task.as_ref(), &effects).await? {
                tracing::info!(user.id = %id, "account closed");
            }
        }
        // In either case: the process that won may have been killed before it came to this.
        self.invalidate_cached(id).await;
        Ok(())
    }

    /// The task that tells of the end of an account. None where its address has had too many of them: whoever opens accounts
    /// with somebody else's address and closes them again does not flood a mailbox.
    async fn farewell(&self, user: UserId, email: Option<&Email>, effects: &Effects) -> Result<Option<Event>, Error> {
        let Some(closed) = effects.events.first() else { return Ok(None) };
        let what = Notification::AccountClosed;
        match self.attempts.begin_mail(what.purpose(), email, None).await {
            Ok(()) => self.task_of(&News { user, what, event: closed.id, at: closed.time }),
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(user.id = %user, error, "no mail of the end of an account is sent");
                Ok(None)
            }
        }
    }
}
