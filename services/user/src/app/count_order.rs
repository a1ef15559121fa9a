//! Counting the orders that were ever confirmed.

use messaging::Receipt;
use tracing::instrument;

use super::{App, Error, News};

impl App {
    /// Counts a confirmed order, once per receipt, and records the mail that tells of it.
    ///
    /// # Errors
    /// No such account; the store fails.
    #[instrument(name = "service.count_order", skip_all, fields(user.id = %news.user))]
    pub async fn count_order(&self, news: &News, receipt: Receipt) -> Result<(), Error> {
        let task = self.task_of(news)?;
        if !self.accounts.count_order(news.user, task.as_ref(), receipt).await? {
            return Err(Error::NotFound);
        }
        self.invalidate_cached(news.user).await;
        Ok(())
    }
}
