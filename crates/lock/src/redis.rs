//! Leases on Redis and Redis Cluster.
//!
//! All that concerns one name is in one slot, `{PREFIX:lock:NAME}`, and each call is one script, so it happens at once.
//! Who is refused leaves its place and the channel of its process; a release wakes the next in line and nobody else.
//! A message may be lost: waiters look again after `Policy::poll`.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ::redis::{Ear, Feed, Redis as Server, Script};
use async_trait::async_trait;
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::{Acquired, Backend, Owner, Request, Turn},
    error::BoxError,
};

static ACQUIRE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/acquire.lua")));
static RENEW: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/renew.lua")));
static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/release.lua")));

/// A backend on one Redis or on a cluster.
pub struct Redis {
    server: Server,
    /// On which this process is woken.
    channel: String,
    waiters: Arc<Waiters>,
    _feed: Feed,
}

/// Those who wait in this process.
#[derive(Debug, Default)]
struct Waiters(Mutex<HashMap<String, Arc<Notify>>>);

impl Waiters {
    fn locked(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ear for Waiters {
    fn hears(&self, _: &str, message: &[u8]) {
        let owner = String::from_utf8_lossy(message);
        if let Some(waiter) = self.locked().get(&*owner) {
            waiter.notify_one();
        }
    }

    /// A message may have been missed: all look again.
    fn begins(&self) {
        self.locked().values().for_each(|waiter| waiter.notify_one());
    }

    fn breaks(&self) {}
}

/// The keys of one name, in one slot.
struct Keys([String; 5]);

impl Keys {
    fn of(server: &Server, name: &str) -> Self {
        let key = |part| format!("{{{}:lock:{name}}}{part}", server.prefix());
        Self(["", ":line", ":others", ":waiters", ":gone"].map(key))
    }

    fn all(&self) -> [&str; 5] {
        self.0.each_ref().map(String::as_str)
    }
}

impl Redis {
    /// Connects in the background; what waits for a wake-up runs on `tracker` until `stop`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the URL.
    pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Self, ::redis::Error> {
        let server = Server::open(url)?;
        let waiters = Arc::<Waiters>::default();
        let channel = format!("{}:lock:wake:{}", server.prefix(), Owner::random());
        let ear: Weak<dyn Ear> = Arc::<Waiters>::downgrade(&waiters);
        let feed = Feed::start(&server, vec![channel.clone()], ear, tracker, stop);
        Ok(Self { server, channel, waiters, _feed: feed })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.server).finish()
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

#[async_trait]
impl Backend for Redis {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        let (keys, owner) = (Keys::of(&self.server, request.name), request.owner.to_string());
        let turn: &[u8] = match request.turn {
            Turn::Once => b"once",
            Turn::Waiting => b"waiting",
            Turn::Queued => b"queued",
        };
        if request.turn != Turn::Once {
            // Before the request, so that no wake-up comes for somebody unknown.
            self.waiters.locked().entry(owner.clone()).or_default();
        }
        let (ttl, place) = (millis(request.ttl), millis(request.place));
        let args = [owner.as_bytes(), ttl.as_bytes(), place.as_bytes(), turn, self.channel.as_bytes()];
        let (held, number): (bool, i64) = self.server.eval(&ACQUIRE, &keys.all(), &args).await?;
        if held {
            self.waiters.locked().remove(&owner);
            return Ok(Acquired::Held { fence: number });
        }
        Ok(Acquired::Busy { retry_in: Duration::from_millis(u64::try_from(number).unwrap_or_default()) })
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        let keys = Keys::of(&self.server, name);
        let (owner, ttl) = (owner.to_string(), millis(ttl));
        Ok(self.server.eval(&RENEW, &keys.all()[..1], &[owner.as_bytes(), ttl.as_bytes()]).await?)
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        let (keys, owner) = (Keys::of(&self.server, name), owner.to_string());
        self.waiters.locked().remove(&owner);
        Ok(self.server.eval(&RELEASE, &keys.all(), &[owner.as_bytes()]).await?)
    }

    async fn wait(&self, _: &str, owner: Owner) {
        let waiter = self.waiters.locked().get(&owner.to_string()).map(Arc::clone);
        if let Some(waiter) = waiter {
            waiter.notified().await;
        }
    }
}
