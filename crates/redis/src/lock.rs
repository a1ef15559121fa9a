//! Leases on Redis and Redis Cluster.
//!
//! All keys of one name are in one slot, `{PREFIX:lock:NAME}`, and each call is one script, so it is atomic.
//! A waiter is stored with the channel of its process; a release wakes the next waiter and nobody else.
//! A wake-up may be lost: waiters ask again after `Policy::poll_interval`.

pub(crate) mod fenced;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use lock::{Acquired, Backend, BoxError, Owner, Request, Waiting};
use tokio::sync::Notify;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Client, Disconnected, Error, Feed, Script, Subscriber};

/// The types of [`Keys`].
const TYPES: [&str; 5] = ["hash", "zset", "zset", "hash", "zset"];

macro_rules! script {
    ($name:ident, $types:expr, $file:literal) => {
        static $name: LazyLock<Script> =
            LazyLock::new(|| Script::healing(&$types, concat!(include_str!("number.lua"), include_str!($file))));
    };
}
script!(ACQUIRE, TYPES, "lock/acquire.lua");
script!(RENEW, TYPES[..1], "lock/renew.lua");
script!(RELEASE, TYPES, "lock/release.lua");

/// A backend of locks on one server or on a cluster.
pub struct LockBackend {
    client: Client,
    /// Where wake-ups of this process are published.
    channel: String,
    waiters: Arc<Waiters>,
    _feed: Feed,
}

/// Those who wait in this process.
#[derive(Debug, Default)]
struct Waiters(Mutex<HashMap<String, Arc<Notify>>>);

impl Waiters {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscriber for Waiters {
    fn on_message(&self, _: &str, message: &[u8]) {
        let owner = String::from_utf8_lossy(message);
        if let Some(waiter) = self.lock().get(&*owner) {
            waiter.notify_one();
        }
    }

    /// A wake-up may have been missed: all ask again.
    fn on_connected(&self) {
        tracing::info!("wake-up feed connected");
        self.lock().values().for_each(|waiter| waiter.notify_one());
    }

    fn on_disconnected(&self, cause: Disconnected) {
        tracing::warn!(%cause, "wake-up feed disconnected; waiters poll");
    }
}

/// The keys of one name, in one slot: the lock, the queue of fair waiters, unfair waiters, when and how waiters are woken,
/// released owners.
struct Keys([String; 5]);

impl Keys {
    fn of(client: &Client, name: &str) -> Self {
        let key = |suffix| format!("{{{}:lock:{name}}}{suffix}", client.prefix());
        Self(["", ":line", ":others", ":waiters", ":gone"].map(key))
    }

    fn all(&self) -> [&str; 5] {
        self.0.each_ref().map(String::as_str)
    }
}

impl LockBackend {
    /// Connects in the background; the feed of wake-ups runs on `tracker` until `stop`.
    ///
    /// # Errors
    ///
    /// Returns [`Error::InvalidUrl`] with what to write instead.
    pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Self, Error> {
        let client = Client::open(url)?;
        let waiters = Arc::<Waiters>::default();
        let channel = format!("{}:lock:wake:{}", client.prefix(), Owner::random());
        let subscriber: Weak<dyn Subscriber> = Arc::<Waiters>::downgrade(&waiters);
        let feed = Feed::start(&client, channel.clone(), subscriber, tracker, stop);
        Ok(Self { client, channel, waiters, _feed: feed })
    }
}

impl fmt::Debug for LockBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LockBackend").field(&self.client).finish()
    }
}

fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

#[async_trait]
impl Backend for LockBackend {
    async fn acquire(&self, request: &Request<'_>) -> Result<Acquired, BoxError> {
        let (keys, owner) = (Keys::of(&self.client, request.name), request.owner.to_string());
        let waiting: &[u8] = match request.waiting {
            Waiting::No => b"no",
            Waiting::Unfair => b"unfair",
            Waiting::Fair => b"fair",
        };
        if request.waiting != Waiting::No {
            // Before the request, so that no wake-up comes for an owner who is not known here.
            self.waiters.lock().entry(owner.clone()).or_default();
        }
        let (ttl, waiter_ttl) = (millis(request.ttl), millis(request.waiter_ttl));
        let args = [owner.as_bytes(), ttl.as_bytes(), waiter_ttl.as_bytes(), waiting, self.channel.as_bytes()];
        let (held, number): (bool, i64) = self.client.eval(&ACQUIRE, &keys.all(), &args).await?;
        if held {
            self.waiters.lock().remove(&owner);
            return Ok(Acquired::Held { fence: number });
        }
        Ok(Acquired::Busy { retry_after: Duration::from_millis(u64::try_from(number).unwrap_or_default()) })
    }

    async fn renew(&self, name: &str, owner: Owner, ttl: Duration) -> Result<bool, BoxError> {
        let keys = Keys::of(&self.client, name);
        let (owner, ttl) = (owner.to_string(), millis(ttl));
        Ok(self.client.eval(&RENEW, &keys.all()[..1], &[owner.as_bytes(), ttl.as_bytes()]).await?)
    }

    async fn release(&self, name: &str, owner: Owner) -> Result<bool, BoxError> {
        let (keys, owner) = (Keys::of(&self.client, name), owner.to_string());
        self.waiters.lock().remove(&owner);
        Ok(self.client.eval(&RELEASE, &keys.all(), &[owner.as_bytes()]).await?)
    }

    async fn wait(&self, _: &str, owner: Owner) {
        let waiter = self.waiters.lock().get(&owner.to_string()).map(Arc::clone);
        if let Some(waiter) = waiter {
            waiter.notified().await;
        }
    }
}
