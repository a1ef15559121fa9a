//! The embedded bus: a durable log in a file that several processes share, with consumer groups.
//!
//! Publishing appends to `log`. Each group moves new rows of its kinds into `pending` when one of its members has
//! nothing left to do, and there only the first row of each key may be delivered; so a delivery costs the same however much
//! waits, two members never have one key, and a key that is stuck stops nobody else.

mod acks;
mod claim;
mod dead_letters;
mod presence;
mod prune;
mod signal;
mod subscription;
mod tail;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use clock::SharedClock;
use messaging::{Config, DeadLetter, Difference, Error, Event, Resolution, Track};
use sqlx::migrate::Migrator;
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::{Database, columns};
use acks::Acks;
use signal::Signals;
use subscription::Subscription;
use tail::Tail;

const SCHEMA: &str = include_str!("../migrations/bus.sql");
/// What it cannot keep of the contract of [`messaging::Bus`]; the README says more.
pub const DIFFERENCES: &[Difference] = &[Difference::BlamesWhatWasInHand];

/// The schema is applied by [`Bus::open`] itself, so there is nothing to migrate.
static NOTHING: Migrator = Migrator::DEFAULT;

const APPEND: &str = "INSERT INTO log
    (id, kind, source, subject, key, time, data, traceparent, tracestate, canary, logged_at)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT (id) DO NOTHING";

const DEPTH: &str = "SELECT (SELECT count(*) FROM pending AS p JOIN groups AS g ON g.id = p.grp WHERE g.name = ?1)
    + (SELECT count(*) FROM groups AS g JOIN subscriptions AS s ON s.grp = g.id
       JOIN log AS l ON l.kind = s.kind AND l.place > s.cursor WHERE g.name = ?1)";

/// How long a delivery stays with a consumer that does not extend it.
const LEASE: Duration = Duration::from_secs(5);

/// The tables are read after this long, whatever the signals say.
const POLL: Duration = Duration::from_secs(1);

/// A handle on an embedded bus.
///
/// ```
/// # use messaging::{Bus as _, Event};
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let bus = sqlite::Bus::open("sqlite::memory:", clock::system()).await?;
/// let now = clock::system().now();
/// bus.publish(&[Event::new("order.placed.v1", "order", 17, now, "data")?]).await?;
/// let subscription = bus.subscribe("payment", &["order.placed.v1"]).await?;
/// for delivery in subscription.fetch(10).await? {
///     subscription.ack(&delivery).await?;
/// }
/// assert_eq!(bus.depth("payment").await?, 0);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Bus {
    shared: Arc<Shared>,
    lease: Duration,
    track: Track,
}

/// Opens the bus that a service's configuration names.
///
/// # Errors
/// When the file cannot be used.
pub async fn open_bus(config: &Config, clock: SharedClock) -> Result<Arc<dyn messaging::Bus>, Error> {
    Ok(Arc::new(Bus::open(&config.url, clock).await?.on_track(config.track())))
}

/// What the handle and its subscriptions have in common.
struct Shared {
    database: Database,
    clock: SharedClock,
    signals: Signals,
    acks: Acks,
    next_prune: Mutex<prune::Next>,
}

impl Shared {
    fn now(&self) -> i64 {
        clock::micros(self.clock.now())
    }
}

impl Bus {
    /// Opens the bus in a file, `sqlite://path`, or one of this process' own, `sqlite::memory:`.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub async fn open(url: &str, clock: SharedClock) -> Result<Self, Error> {
        let database = crate::open(url, &NOTHING).await.map_err(Error::bus)?;
        let mut tx = database.begin().await.map_err(Error::bus)?;
        sqlx::raw_sql(SCHEMA).execute(&mut *tx).await.map_err(Error::bus)?;
        tx.commit().await.map_err(Error::bus)?;
        let signals = Signals::new(database.read.clone(), !url.contains(":memory:"));
        let (acks, next_prune) = (Acks::default(), Mutex::default());
        Ok(Self {
            shared: Arc::new(Shared { database, clock, signals, acks, next_prune }),
            lease: LEASE,
            track: Track::Stable,
        })
    }

    /// The same handle with another lease on what its consumers take; 5 s where this is not called.
    pub fn with_lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    /// The same handle for another version of its service: what subscribes here is on that track.
    pub fn on_track(mut self, track: Track) -> Self {
        self.track = track;
        self
    }

    /// Forgets old events now and then, a bounded number at a time, so that no publisher pays much.
    async fn prune_if_due(&self, now: i64) {
        // Of several publishers one prunes, and the others do not wait for it.
        if let Ok(mut next) = self.shared.next_prune.try_lock() {
            next.prune_if_due(&self.shared, now).await;
        }
    }
}

async fn append(database: &Database, events: &[Event], now: i64) -> Result<(), sqlx::Error> {
    let mut tx = database.begin().await?;
    for event in events {
        columns::bind(sqlx::query(APPEND), event).bind(now).execute(&mut *tx).await?;
    }
    tx.commit().await
}

async fn join(database: &Database, group: &str, kinds: &[&str]) -> Result<i64, sqlx::Error> {
    let mut tx = database.begin().await?;
    sqlx::query("INSERT INTO groups (name) VALUES (?1) ON CONFLICT DO NOTHING").bind(group).execute(&mut *tx).await?;
    let id = sqlx::query_scalar("SELECT id FROM groups WHERE name = ?1").bind(group).fetch_one(&mut *tx).await?;
    for kind in kinds {
        sqlx::query("INSERT INTO subscriptions (grp, kind, cursor) VALUES (?1, ?2, 0) ON CONFLICT DO NOTHING")
            .bind(id)
            .bind(*kind)
            .execute(&mut *tx)
            .await?;
    }
    tx.commit().await?;
    Ok(id)
}

#[async_trait]
impl messaging::Bus for Bus {
    fn system(&self) -> &'static str {
        "sqlite"
    }

    async fn publish(&self, events: &[Event]) -> Result<(), Error> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.shared.now();
        append(&self.shared.database, events, now).await.map_err(Error::bus)?;
        self.shared.signals.wake_all();
        self.prune_if_due(now).await;
        Ok(())
    }

    async fn subscribe(&self, group: &str, kinds: &[&str]) -> Result<Arc<dyn messaging::Subscription>, Error> {
        let id = join(&self.shared.database, group, kinds).await.map_err(Error::bus)?;
        Ok(Arc::new(Subscription::join(Arc::clone(&self.shared), id, self.track, self.lease).await?))
    }

    async fn tail(&self, kinds: &[&str], back: u64) -> Result<Box<dyn messaging::Tail>, Error> {
        Ok(Box::new(Tail::open(Arc::clone(&self.shared), kinds, back).await?))
    }

    async fn dead_letters(&self, group: Option<&str>, limit: usize) -> Result<Vec<DeadLetter>, Error> {
        dead_letters::list(&self.shared.database, group, limit).await
    }

    async fn resolve(&self, group: &str, events: &[Uuid], resolution: Resolution) -> Result<u64, Error> {
        let (database, now) = (&self.shared.database, self.shared.now());
        let resolved = dead_letters::resolve(database, group, events, resolution, now).await.map_err(Error::bus)?;
        self.shared.signals.wake_all();
        Ok(resolved)
    }

    async fn depth(&self, group: &str) -> Result<u64, Error> {
        let depth: i64 =
            sqlx::query_scalar(DEPTH).bind(group).fetch_one(&self.shared.database.read).await.map_err(Error::bus)?;
        Ok(columns::count(depth))
    }

    async fn count_dead_letters(&self, group: &str) -> Result<u64, Error> {
        dead_letters::count(&self.shared.database, group).await.map_err(Error::bus)
    }

    async fn ping(&self) -> Result<(), Error> {
        self.shared.database.ping().await.map_err(Error::bus)
    }

    async fn close(&self) {
        self.shared.signals.close().await;
        self.shared.database.close().await;
    }
}
