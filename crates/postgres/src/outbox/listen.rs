//! Tells the relays of other processes that there is something to publish.
//!
//! Outside the transaction that recorded it: a `NOTIFY` inside takes a lock that makes commits wait for each other.
//! One may be lost, for example while the connection is made anew; the relays' poll makes up for it.

use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::Mutex;

/// How long to wait before the next try when the server does not let us listen.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Listener {
    pool: crate::Pool,
    listening: Mutex<Option<PgListener>>,
}

impl Listener {
    pub(super) fn new(pool: crate::Pool) -> Self {
        Self { pool, listening: Mutex::default() }
    }

    pub(super) async fn announce(&self) -> Result<(), sqlx::Error> {
        sqlx::query("NOTIFY outbox").execute(&self.pool).await.map(drop)
    }

    /// Returns also when the connection was lost: what was announced meanwhile is not known.
    pub(super) async fn announced(&self) {
        let mut listening = self.listening.lock().await;
        if listening.is_none() {
            match self.listen().await {
                Ok(listener) => *listening = Some(listener),
                Err(error) => {
                    tracing::debug!(error = &error as &dyn std::error::Error, "cannot listen to the outbox");
                    tokio::time::sleep(PAUSE).await;
                }
            }
            return;
        }
        if let Some(listener) = listening.as_mut()
            && !matches!(listener.try_recv().await, Ok(Some(_)))
        {
            *listening = None;
        }
    }

    async fn listen(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(self.pool.raw()).await?;
        listener.listen("outbox").await?;
        Ok(listener)
    }
}
