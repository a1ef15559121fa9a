//! Watching orders.

use std::{sync::Arc, time::Duration};

use auth::Identity;
use messaging::Cursor;
use tracing::instrument;

use super::{
    App, Error,
    live::{Permit, Watch},
    orders::Caller,
    ports::Owner,
};
use crate::domain::ids::UserId;

impl App {
    /// Leave to watch orders, which counts as one of the account's streams until it is dropped.
    ///
    /// # Errors
    /// Too many watch.
    pub fn open_stream(&self, identity: &Identity) -> Result<Arc<Permit>, Error> {
        self.live.admit(UserId(identity.user_id))
    }

    /// Watches the caller's own orders, or for an operator those that are asked for, until the token has run out; from now
    /// on, or after what was seen last.
    ///
    /// # Errors
    /// Others' orders are asked for by somebody who is no operator, or the bus has not been reached yet.
    #[instrument(skip_all)]
    pub async fn watch_orders(
        &self,
        permit: Arc<Permit>,
        identity: &Identity,
        asked: Option<Owner>,
        after: Option<Cursor>,
    ) -> Result<Watch, Error> {
        let owner = Caller::of(identity).scope(asked)?;
        self.live.watch(permit, owner, after, self.time_left(identity)).await
    }

    /// How long the access token is still good.
    pub fn time_left(&self, identity: &Identity) -> Duration {
        Duration::try_from(identity.expires_at - self.clock.now()).unwrap_or_default()
    }
}
