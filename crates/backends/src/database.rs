//! What services have in common of their databases.

use std::sync::Arc;

use futures::future::BoxFuture;
use messaging::{DeadRow, Outbox};
use serde_json::{Value, json};
use uuid::Uuid;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Ping = Arc<dyn Fn() -> BoxFuture<'static, Result<(), BoxError>> + Send + Sync>;

/// A service's database beside the tables that are the service's own: the outbox in it, whether it answers, its end.
pub struct Database {
    /// The relay's side of the outbox.
    pub outbox: Arc<dyn Outbox>,
    ping: Ping,
    close: BoxFuture<'static, ()>,
}

impl Database {
    /// An open SQLite database; the tables of outbox and inbox are made where they are missing.
    ///
    /// # Errors
    ///
    /// It cannot be written.
    #[cfg(feature = "sqlite")]
    pub async fn sqlite(database: sqlite::Database, clock: clock::SharedClock) -> Result<Self, messaging::Error> {
        let outbox = sqlite::Outbox::open(database.clone(), clock).await?;
        let ping = |database: sqlite::Database| async move { database.ping().await };
        Ok(Self::new(outbox, database, ping, |database| async move { database.close().await }))
    }

    /// A PostgreSQL database that `postgres::open` has opened.
    #[cfg(feature = "postgres")]
    pub fn postgres(pool: postgres::Pool) -> Self {
        let outbox = postgres::Outbox::new(pool.clone());
        let ping = |pool| async move { postgres::ping(&pool).await };
        Self::new(outbox, pool, ping, |pool| async move { pool.close().await })
    }

    /// A MongoDB database with its outbox, which is inside the service's own documents.
    #[cfg(feature = "mongodb")]
    pub fn mongodb(database: mongodb::Database, outbox: mongodb::Outbox) -> Self {
        let ping = |database| async move { mongodb::ping(&database).await };
        Self::new(outbox, database, ping, |database| async move { database.client().clone().shutdown().await })
    }

    #[cfg(any(feature = "mongodb", feature = "postgres", feature = "sqlite"))]
    fn new<D, E, P, C>(outbox: impl Outbox + 'static, database: D, ping: fn(D) -> P, close: impl FnOnce(D) -> C) -> Self
    where
        D: Clone + Send + Sync + 'static,
        E: Into<BoxError>,
        P: Future<Output = Result<(), E>> + Send + 'static,
        C: Future<Output = ()> + Send + 'static,
    {
        let close = Box::pin(close(database.clone()));
        let ping = Arc::new(move || -> BoxFuture<'static, _> {
            let answer = ping(database.clone());
            Box::pin(async move { answer.await.map_err(Into::into) })
        });
        Self { outbox: Arc::new(outbox), ping, close }
    }

    /// The check for readiness: the database takes writes.
    pub fn ping(&self) -> impl Fn() -> BoxFuture<'static, Result<(), BoxError>> + Clone + Send + Sync + use<> {
        let ping = Arc::clone(&self.ping);
        move || ping()
    }

    /// The dead rows of the outbox, at most so many, as JSON: what the admin port shows.
    pub fn dead_rows(&self) -> impl Fn(usize) -> BoxFuture<'static, Result<Vec<Value>, BoxError>> + Clone + use<> {
        let outbox = self.outbox();
        move |limit| {
            let outbox = outbox.clone();
            Box::pin(async move { Ok::<_, BoxError>(outbox()?.dead(limit).await?.iter().map(shown).collect()) })
        }
    }

    /// Has the dead row of an event, or all of them, tried again, and says how many: what the admin port is asked for.
    pub fn revive(&self) -> impl Fn(Option<Uuid>) -> BoxFuture<'static, Result<u64, BoxError>> + Clone + use<> {
        let outbox = self.outbox();
        move |event| {
            let outbox = outbox.clone();
            Box::pin(async move { Ok::<_, BoxError>(outbox()?.revive(event).await?) })
        }
    }

    /// The outbox for as long as the database is open: it may have a connection of its own, which the end would wait for.
    fn outbox(&self) -> impl Fn() -> Result<Arc<dyn Outbox>, BoxError> + Clone + Send + Sync + use<> {
        let outbox = Arc::downgrade(&self.outbox);
        move || outbox.upgrade().ok_or_else(|| "the process ends".into())
    }

    /// Closes its connections, for the end of a process.
    pub async fn close(self) {
        // It may have a connection of its own, which the end would wait for.
        drop(self.outbox);
        self.close.await;
    }
}

/// Without its data, which may be what makes it too large.
fn shown(row: &DeadRow) -> Value {
    let event = row.event.as_ref();
    json!({
        "id": event.map(|event| event.id), "kind": event.map(|event| &event.kind), "key": event.map(|event| &event.key),
        "cause": if event.is_some() { "rejected" } else { "unreadable" }, "detail": row.reason, "attempts": row.attempts,
        "dead_at": clock::rfc3339(row.dead_at),
    })
}
