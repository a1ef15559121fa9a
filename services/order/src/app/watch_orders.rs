//! Watching orders.

use std::time::Duration;

use auth::Identity;
use messaging::Cursor;
use tracing::instrument;

use super::{App, Error, live::Watch, orders::Caller, ports::Owner};
use crate::domain::ids::UserId;

impl App {
    /// Watches the caller's own orders, or for an operator those that are asked for, until the token has run out; from now
    /// on, or after what was seen last.
    ///
    /// # Errors
    /// Others' orders are asked for by somebody who is no operator, too many watch, or the bus has not been reached yet.
    #[instrument(skip_all)]
    pub async fn watch_orders(
        &self,
        identity: &Identity,
        asked: Option<Owner>,
        after: Option<Cursor>,
    ) -> Result<Watch, Error> {
        let caller = Caller { user: UserId(identity.user_id), operator: identity.is_operator() };
        let owner = caller.scope(asked)?;
        let time = Duration::try_from(identity.expires_at - self.clock.now()).unwrap_or_default();
        self.live.watch(caller.user, owner, after, time).await
    }
}
