//! Values and leases on Redis and Redis Cluster, with what is read often near at hand.
//!
//! A key is one hash in one slot, `{PREFIX:cache:EPOCH:KEY}`, and each call is one script, so it happens at once and by
//! the server's clock. Each write is told to all processes on the channel `PREFIX:cache:feed`; while a process cannot be
//! sure to hear of each, it asks Redis. What Redis could not be told of is kept in a journal, and nothing is read of
//! those keys until it has been told.

mod answer;
mod breaker;
mod ear;
mod journal;
mod near;
mod quarantine;

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ::redis::{Ear, Feed, Redis as Server, Script};
use async_trait::async_trait;
use tokio::{runtime::Handle, sync::Notify};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    answer::{Answer, Unreadable},
    breaker::Breaker,
    journal::Journal,
    near::Near,
    quarantine::{Quarantine, Quarantined},
};
use crate::{
    error::BoxError,
    metrics::Remote,
    store::{Ask, Entry, Fill, Found, Listener, Reach, Store, Token},
};

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        static $name: LazyLock<Script> = LazyLock::new(|| Script::new(concat!($(include_str!($file)),+)));
    };
    ($name:ident: $file:literal) => {
        script!($name, "redis/common.lua", $file);
    };
}
script!(ASK, "redis/fresh.lua", "redis/common.lua", "redis/ask.lua");
script!(GET, "redis/fresh.lua", "redis/get.lua");
script!(RENEW: "redis/renew.lua");
script!(STORE: "redis/store.lua");
script!(EXTEND: "redis/extend.lua");
script!(ABANDON: "redis/abandon.lua");
script!(HELD: "redis/held.lua");
script!(INVALIDATE: "redis/invalidate.lua");
static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/clear.lua")));
static EPOCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/epoch.lua")));

/// A store on one Redis or on a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Redis {
    shared: Arc<Shared>,
    _feed: Arc<Feed>,
}

struct Shared {
    server: Server,
    /// Tells this process' own messages from the others'.
    source: String,
    feed: String,
    near: Near,
    breaker: Breaker,
    journal: Journal,
    quarantine: Quarantine,
    waiters: Mutex<HashMap<String, Weak<Notify>>>,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
    tracker: TaskTracker,
    metrics: Remote,
    itself: Weak<Self>,
}

impl Redis {
    /// Connects in the background; what it does there runs on `tracker` until `stop`.
    ///
    /// # Errors
    ///
    /// Returns what is wrong with the URL.
    pub fn open(url: &str, tracker: &TaskTracker, stop: &CancellationToken) -> Result<Self, ::redis::Error> {
        let server = Server::open(url)?;
        let shared = Arc::new_cyclic(|itself| Shared {
            source: Token::random().to_string(),
            feed: format!("{}:cache:feed", server.prefix()),
            near: Near::new(),
            breaker: Breaker::default(),
            journal: Journal::default(),
            quarantine: Quarantine::default(),
            waiters: Mutex::default(),
            listeners: Mutex::default(),
            tracker: tracker.clone(),
            metrics: Remote::new(),
            itself: Weak::clone(itself),
            server,
        });
        let ear: Weak<dyn Ear> = Arc::<Shared>::downgrade(&shared);
        let feed = Feed::start(&shared.server, vec![shared.feed.clone()], ear, tracker, stop);
        let _detached = tracker.spawn(stop.clone().run_until_cancelled_owned(ear::tell_late(Arc::downgrade(&shared))));
        Ok(Self { shared, _feed: Arc::new(feed) })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.shared.server).finish()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

impl Shared {
    /// Runs a script on the key, unless Redis is left alone for now.
    async fn run(&self, script: &Script, key: &str, args: &[&[u8]]) -> Result<Answer, BoxError> {
        let stored = format!("{{{}:cache:{}:{key}}}", self.server.prefix(), self.near.epoch());
        let call = self.breaker.call()?;
        let answer = self.server.eval(script, &[&stored], args).await?;
        call.answered();
        Ok(Answer(answer))
    }

    /// Tells Redis of the writes that it does not know of yet, as far as they concern the key.
    async fn catch_up(&self, key: &str) -> Result<(), BoxError> {
        if self.journal.overflow().is_some() {
            self.clear().await?;
        }
        if let Some(number) = self.journal.failed(key) {
            self.invalidated(key, Reach::Remove).await?;
            self.journal.told(key, number);
        }
        Ok(())
    }

    /// Gives up all that is stored.
    async fn clear(&self) -> Result<(), BoxError> {
        let lost = self.journal.overflow().unwrap_or_default();
        let key = self.epoch_key();
        let epoch: u64 = self.server.eval(&CLEAR, &[&key], &[self.feed.as_bytes()]).await?;
        self.near.begin(epoch);
        self.journal.given_up(lost);
        Ok(())
    }

    fn epoch_key(&self) -> String {
        format!("{}:cache:epoch", self.server.prefix())
    }

    async fn invalidated(&self, key: &str, reach: Reach) -> Result<u64, BoxError> {
        let word: &[u8] = match reach {
            Reach::Remove => b"remove",
            Reach::Expire => b"expire",
        };
        let args = [word, self.source.as_bytes(), self.feed.as_bytes(), key.as_bytes()];
        self.run(&INVALIDATE, key, &args).await?.number(0)
    }

    /// What `fill` and `put` have in common.
    async fn stored(
        &self,
        key: &str,
        (how, who): (&[u8], &str),
        fill: &Fill,
        data_version: Option<u64>,
    ) -> Result<Answer, BoxError> {
        let version = data_version.map(|version| version.to_string()).unwrap_or_default();
        let (soft, hard, cost) = (millis(fill.soft), millis(fill.hard), millis(fill.cost));
        let args = [
            how,
            who.as_bytes(),
            &fill.value,
            version.as_bytes(),
            soft.as_bytes(),
            hard.as_bytes(),
            cost.as_bytes(),
            self.feed.as_bytes(),
            key.as_bytes(),
        ];
        self.run(&STORE, key, &args).await
    }

    /// Keeps what was just stored near at hand.
    fn keep(&self, key: &str, ticket: near::Ticket, fill: Fill, generation: u64) {
        let entry = Entry { value: fill.value, generation, fresh_for: fill.soft, cost: fill.cost };
        self.near.keep(key, ticket, &entry);
    }

    fn wake(&self, key: &str) {
        if let Some(waiter) = locked(&self.waiters).get(key).and_then(Weak::upgrade) {
            waiter.notify_waiters();
        }
    }

    fn wake_all(&self) {
        locked(&self.waiters).values().filter_map(Weak::upgrade).for_each(|waiter| waiter.notify_waiters());
    }

    /// Tells all in this process of a write.
    fn tell(&self, key: &str, generation: u64) {
        self.near.written(key, generation);
        self.wake(key);
        self.listeners(|listener| listener.invalidated(key, generation));
    }

    fn listeners(&self, tell: impl Fn(&dyn Listener)) {
        locked(&self.listeners).retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                tell(&**listener);
            }
            listener.is_some()
        });
    }

    /// Makes or finds what is notified when something happens to the key; kept while somebody waits.
    fn waiter(&self, key: &str) -> Arc<Notify> {
        let mut waiters = locked(&self.waiters);
        if let Some(waiter) = waiters.get(key).and_then(Weak::upgrade) {
            return waiter;
        }
        waiters.retain(|_, waiter| waiter.strong_count() > 0);
        let waiter = Arc::<Notify>::default();
        waiters.insert(key.to_owned(), Arc::downgrade(&waiter));
        waiter
    }

    async fn catch_up_with_all(&self) -> Result<(), BoxError> {
        for (key, _) in self.journal.all() {
            self.catch_up(&key).await?;
        }
        self.catch_up("").await
    }

    /// Finds out the epoch, whose beginning may have been missed, and trusts what is near from then on.
    async fn recover(&self) -> Result<(), BoxError> {
        let key = self.epoch_key();
        let (epoch, now) = self.server.eval(&EPOCH, &[&key], &[]).await?;
        self.near.begin(epoch);
        self.quarantine.end(now);
        self.near.whole();
        Ok(())
    }

    fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime leases run out, and writes are told of when their key is asked for.
        if let Ok(runtime) = Handle::try_current() {
            let _detached = self.tracker.spawn_on(work, &runtime);
        }
    }
}

#[async_trait]
impl Store for Redis {
    fn near(&self, key: &str) -> Option<Entry> {
        self.shared.near.get(key)
    }

    fn last_known(&self, key: &str) -> Option<Entry> {
        self.shared.near.last(key)
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        let shared = &*self.shared;
        shared.catch_up(key).await?;
        let ticket = shared.near.ticket(key);
        let answer = shared.run(&GET, key, &[]).await?;
        if !answer.is("fresh") {
            return Ok(None);
        }
        let entry = answer.entry()?;
        if !shared.quarantine.trusts(entry.generation) {
            return Ok(None);
        }
        shared.near.keep(key, ticket, &entry);
        Ok(Some(entry))
    }

    async fn get_or_lease(&self, key: &str, ask: &Ask) -> Result<Found, BoxError> {
        let shared = &*self.shared;
        shared.catch_up(key).await?;
        let ticket = shared.near.ticket(key);
        let (token, lease) = (ask.token.to_string(), millis(ask.lease));
        let run = async |early: &[u8]| shared.run(&ASK, key, &[token.as_bytes(), lease.as_bytes(), early]).await;
        let mut answer = run(if ask.early { b"1" } else { b"0" }).await?;
        if answer.is("fresh") && !shared.quarantine.trusts(answer.number(2)?) {
            // One loads anew, under the lease; who comes meanwhile loads for itself.
            answer = run(b"1").await?;
            if answer.is("fresh") && !shared.quarantine.trusts(answer.number(2)?) {
                return Err(Quarantined.into());
            }
        }
        Ok(match answer.word() {
            b"fresh" => {
                let entry = answer.entry()?;
                shared.near.keep(key, ticket, &entry);
                Found::Fresh(entry)
            }
            b"stale" => Found::Stale(answer.entry()?),
            b"refresh" => Found::Refresh(answer.entry()?),
            b"load" => Found::Load,
            b"wait" => Found::Wait { holder: answer.token()?, left: Duration::from_millis(answer.number(2)?) },
            _ => return Err(Unreadable.into()),
        })
    }

    async fn renew(&self, key: &str, token: Token, lease: Duration) -> Result<bool, BoxError> {
        let (token, lease) = (token.to_string(), millis(lease));
        Ok(self.shared.run(&RENEW, key, &[token.as_bytes(), lease.as_bytes()]).await?.is("1"))
    }

    async fn fill(&self, key: &str, token: Token, fill: Fill) -> Result<bool, BoxError> {
        let shared = &*self.shared;
        let ticket = shared.near.ticket(key);
        let answer = shared.stored(key, (b"fill", &token.to_string()), &fill, fill.data_version).await?;
        shared.wake(key);
        if !answer.is("stored") {
            return Ok(false);
        }
        shared.keep(key, ticket, fill, answer.number(1)?);
        Ok(true)
    }

    async fn extend(&self, key: &str, token: Token, soft: Duration) -> Result<bool, BoxError> {
        let (token, soft, shared) = (token.to_string(), millis(soft), &*self.shared);
        let args = [token.as_bytes(), soft.as_bytes(), shared.feed.as_bytes(), key.as_bytes()];
        let answer = shared.run(&EXTEND, key, &args).await?;
        shared.wake(key);
        Ok(answer.is("1"))
    }

    fn abandon(&self, key: &str, token: Token) {
        let (shared, key) = (Arc::clone(&self.shared), key.to_owned());
        self.shared.in_background(async move {
            let token = token.to_string();
            let args = [token.as_bytes(), shared.feed.as_bytes(), key.as_bytes()];
            // A lease that cannot be ended runs out.
            let _ = shared.run(&ABANDON, &key, &args).await;
            shared.wake(&key);
        });
    }

    async fn wait(&self, key: &str, holder: Token) {
        let (shared, holder) = (&*self.shared, holder.to_string());
        let waiter = shared.waiter(key);
        loop {
            // Made before the look, so that no change between the two is missed.
            let changed = waiter.notified();
            let held = shared.run(&HELD, key, &[holder.as_bytes()]).await;
            if !held.is_ok_and(|answer| answer.is("1")) {
                return;
            }
            changed.await;
        }
    }

    async fn put(&self, key: &str, fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        let shared = &*self.shared;
        // Whatever becomes of the call: what is near may be older than what was written.
        let _evict = shared.near.evict_after(key);
        let write = shared.journal.write(key);
        shared.catch_up(key).await?;
        let answer = shared.stored(key, (b"put", &shared.source), &fill, Some(data_version)).await?;
        write.done();
        if answer.is("refused") {
            return Ok(false);
        }
        shared.tell(key, answer.number(1)?);
        Ok(answer.is("stored"))
    }

    async fn invalidate(&self, key: &str, reach: Reach) -> Result<u64, BoxError> {
        let shared = &*self.shared;
        let _evict = shared.near.evict_after(key);
        let write = shared.journal.write(key);
        let generation = shared.invalidated(key, reach).await?;
        write.done();
        shared.tell(key, generation);
        Ok(generation)
    }

    fn listen(&self, listener: Weak<dyn Listener>) {
        locked(&self.shared.listeners).push(listener);
    }
}
