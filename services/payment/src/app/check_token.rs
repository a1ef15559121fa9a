//! Says whether the provider knows a payment token, before anything is asked for with it.

use std::time::Duration;

use tracing::instrument;

use super::{App, Error, provider_calls::with_timeout};
use crate::domain::PaymentToken;

impl App {
    /// Whether the provider knows a payment token.
    ///
    /// # Errors
    /// The provider gives no answer.
    #[instrument(name = "payment.check_token", skip_all)]
    pub async fn check_token(&self, token: &PaymentToken) -> Result<bool, Error> {
        Ok(self.metrics.provider("check_token", with_timeout(self.provider.knows_token(token), Duration::ZERO)).await?)
    }
}
