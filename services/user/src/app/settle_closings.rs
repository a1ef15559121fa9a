//! Closing an account: the second half, until order has nothing open.

use futures::future::join_all;
use tokio_util::sync::CancellationToken;

use super::{
    App, Error,
    ports::{Due, Saved},
    span,
};
use crate::domain::{Fact, UserId};

/// How many closings are taken at once.
const BATCH: u32 = 16;
/// How long a taken closing is hidden from other processes; longer than order is given to answer.
const HIDDEN: std::time::Duration = std::time::Duration::from_secs(30);

impl App {
    /// Goes on with closings until `token` is cancelled.
    pub async fn run_closings(&self, token: CancellationToken) {
        while !token.is_cancelled() {
            let worked = token.run_until_cancelled(self.settle_closings()).await;
            let pause = match worked {
                None => return,
                Some(Ok(0)) => self.parts.closing.poll,
                Some(Ok(_)) => continue,
                Some(Err(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "closings were not looked after");
                    self.parts.closing.backoff_max
                }
            };
            let wait = tokio::time::timeout(pause, self.closings_due.notified());
            if token.run_until_cancelled(wait).await.is_none() {
                return;
            }
        }
    }

    /// Asks order about each closing that is due; says how many were.
    ///
    /// # Errors
    /// The store fails.
    pub async fn settle_closings(&self) -> Result<usize, Error> {
        let now = self.now();
        let due = self.parts.accounts.due_closings(now, now + span(HIDDEN), BATCH).await?;
        let all = due.iter().map(|closing| {
            let span = tracing::info_span!("service.settle_closing", user.id = %closing.user);
            telemetry::scope(&closing.carrier, None, span, self.settle(closing))
        });
        for settled in join_all(all).await {
            settled?;
        }
        Ok(due.len())
    }

    /// Tells order again, and finishes when it has nothing open.
    async fn settle(&self, due: &Due) -> Result<(), Error> {
        match self.parts.orders.close_account(due.user).await {
            Ok(0) => return self.finish_closing(due.user).await,
            Ok(open) => tracing::debug!(user.id = %due.user, open, "a closing account has open orders"),
            Err(error) => tracing::info!(
                user.id = %due.user,
                error = &error as &dyn std::error::Error,
                "order did not answer about a closing account"
            ),
        }
        let now = self.now();
        let next = now + self.parts.closing.backoff(due.attempts);
        Ok(self.parts.accounts.postpone_closing(due.user, due.wakes, now, next).await?)
    }

    async fn finish_closing(&self, id: UserId) -> Result<(), Error> {
        let mut account = self.parts.accounts.get(id).await?.ok_or(Error::NotFound)?;
        if account.finish_closing(self.now()) {
            let effects = self.effects(Fact::Closed, id)?;
            if let Saved::Stored(_) = self.parts.accounts.finish_closing(&account, &effects).await? {
                tracing::info!(user.id = %id, "account closed");
            }
        }
        self.forget(id).await;
        Ok(())
    }
}
