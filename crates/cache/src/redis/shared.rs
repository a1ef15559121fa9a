//! What the calls of a store have in common: scripts, and what all of a process must agree on.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ::redis::{Redis as Server, Script};
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::task::TaskTracker;

use super::{
    answer::Answer,
    breaker::Breaker,
    journal::Journal,
    near::{self, Near},
    quarantine::Quarantine,
    server_clock::ServerClock,
};
use crate::{
    error::BoxError,
    metrics::{Remote, observe},
    store::{Entry, Fill, Listener, Reach, Token},
};

macro_rules! script {
    ($name:ident, $($file:literal),+) => {
        pub(super) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(concat!($(include_str!($file)),+)));
    };
    ($name:ident: $file:literal) => {
        script!($name, "common.lua", $file);
    };
}
script!(ASK, "fresh.lua", "common.lua", "ask.lua");
script!(GET, "fresh.lua", "get.lua");
script!(RENEW: "renew.lua");
script!(STORE: "store.lua");
script!(EXTEND: "extend.lua");
script!(ABANDON: "abandon.lua");
script!(HELD: "held.lua");
script!(INVALIDATE: "invalidate.lua");
pub(super) static CLEAR: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("clear.lua")));
pub(super) static EPOCH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("epoch.lua")));

pub(super) struct Shared {
    pub(super) server: Server,
    /// Tells this process' own messages from the others'.
    pub(super) source: String,
    pub(super) feed: String,
    pub(super) near: Near,
    pub(super) breaker: Breaker,
    pub(super) journal: Journal,
    pub(super) quarantine: Quarantine,
    pub(super) waiters: Mutex<HashMap<String, Weak<Notify>>>,
    pub(super) listeners: Mutex<Vec<Weak<dyn Listener>>>,
    pub(super) tracker: TaskTracker,
    pub(super) metrics: Remote,
    pub(super) clock: ServerClock,
    pub(super) itself: Weak<Self>,
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

type Fields = (Option<Vec<u8>>, Option<u64>, Option<u64>, Option<u64>);

/// What is known of a value without a script.
pub(super) enum Peek {
    /// It is fresh, whatever the server's clock says exactly.
    Fresh(Entry),
    /// There is none.
    None,
    /// The server's own clock has to tell.
    Unsure,
}

impl Shared {
    pub(super) fn new(server: Server, tracker: &TaskTracker) -> Arc<Self> {
        let shared = Arc::new_cyclic(|itself| Self {
            source: Token::random().to_string(),
            feed: format!("{}:cache:feed", server.prefix()),
            near: Near::new(),
            breaker: Breaker::default(),
            journal: Journal::default(),
            quarantine: Quarantine::new(),
            waiters: Mutex::default(),
            listeners: Mutex::default(),
            tracker: tracker.clone(),
            metrics: Remote::new(),
            clock: ServerClock::default(),
            itself: Weak::clone(itself),
            server,
        });
        shared.report("cache.breaker.state", "1 while Redis is left alone after failures.", |shared| {
            u64::from(shared.breaker.is_open())
        });
        shared.report("cache.quarantine", "1 while what Redis kept over an outage is not trusted.", |shared| {
            u64::from(shared.quarantine.is_on())
        });
        shared.report("cache.journal", "Writes that Redis does not know of yet.", |shared| shared.journal.len());
        shared
    }

    fn report(&self, name: &'static str, description: &'static str, read: fn(&Self) -> u64) {
        let itself = Weak::clone(&self.itself);
        observe(name, description, move || itself.upgrade().map(|shared| read(&shared)));
    }

    fn stored_key(&self, key: &str) -> String {
        format!("{{{}:cache:{}:{key}}}", self.server.prefix(), self.near.epoch())
    }

    /// Looks for a value without a script, which costs Redis half as much.
    pub(super) async fn peek(&self, key: &str) -> Result<Peek, BoxError> {
        let Some(now) = self.clock.at_most() else { return Ok(Peek::Unsure) };
        let call = self.breaker.call()?;
        let read = self.server.hash(&self.stored_key(key), &["v", "s", "g", "d"]).await;
        let fields: Fields = call.end(read)?;
        let (Some(value), Some(soft), Some(generation), Some(cost)) = fields else { return Ok(Peek::None) };
        let fresh_for = Duration::from_millis(soft.saturating_sub(now / 1000));
        if fresh_for.is_zero() {
            return Ok(Peek::Unsure);
        }
        Ok(Peek::Fresh(Entry { value: value.into(), generation, fresh_for, cost: Duration::from_millis(cost) }))
    }

    /// Runs a script on the key, unless Redis is left alone for now.
    pub(super) async fn run(&self, script: &Script, key: &str, args: &[&[u8]]) -> Result<Answer, BoxError> {
        let call = self.breaker.call()?;
        let answer = self.server.eval(script, &[&self.stored_key(key)], args).await;
        Ok(Answer(call.end(answer)?))
    }

    /// Tells Redis of the writes that it does not know of yet, as far as they concern the key.
    pub(super) async fn catch_up(&self, key: &str) -> Result<(), BoxError> {
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
    pub(super) async fn clear(&self) -> Result<(), BoxError> {
        let lost = self.journal.overflow().unwrap_or_default();
        let key = self.epoch_key();
        let epoch: u64 = self.server.eval(&CLEAR, &[&key], &[self.feed.as_bytes()]).await?;
        self.near.begin(epoch);
        self.journal.given_up(lost);
        Ok(())
    }

    pub(super) fn epoch_key(&self) -> String {
        format!("{}:cache:epoch", self.server.prefix())
    }

    pub(super) async fn invalidated(&self, key: &str, reach: Reach) -> Result<u64, BoxError> {
        let word: &[u8] = match reach {
            Reach::Remove => b"remove",
            Reach::Expire => b"expire",
        };
        let args = [word, self.source.as_bytes(), self.feed.as_bytes(), key.as_bytes()];
        self.run(&INVALIDATE, key, &args).await?.number(0)
    }

    /// What `fill` and `put` have in common.
    pub(super) async fn stored(
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
    pub(super) fn keep(&self, key: &str, ticket: near::Ticket, fill: Fill, generation: u64) {
        let entry = Entry { value: fill.value, generation, fresh_for: fill.soft, cost: fill.cost };
        self.near.keep(key, ticket, &entry);
    }

    pub(super) fn wake(&self, key: &str) {
        if let Some(waiter) = locked(&self.waiters).get(key).and_then(Weak::upgrade) {
            waiter.notify_waiters();
        }
    }

    pub(super) fn wake_all(&self) {
        locked(&self.waiters).values().filter_map(Weak::upgrade).for_each(|waiter| waiter.notify_waiters());
    }

    /// Tells all in this process of a write that all others have been told of.
    pub(super) fn wrote(&self, key: &str, generation: u64) {
        self.metrics.sent();
        self.tell(key, generation);
    }

    /// Tells all in this process of a write.
    pub(super) fn tell(&self, key: &str, generation: u64) {
        self.near.written(key, generation);
        self.wake(key);
        self.listeners(|listener| listener.invalidated(key, generation));
    }

    pub(super) fn listeners(&self, tell: impl Fn(&dyn Listener)) {
        locked(&self.listeners).retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                tell(&**listener);
            }
            listener.is_some()
        });
    }

    /// Makes or finds what is notified when something happens to the key; kept while somebody waits.
    pub(super) fn waiter(&self, key: &str) -> Arc<Notify> {
        let mut waiters = locked(&self.waiters);
        if let Some(waiter) = waiters.get(key).and_then(Weak::upgrade) {
            return waiter;
        }
        waiters.retain(|_, waiter| waiter.strong_count() > 0);
        let waiter = Arc::<Notify>::default();
        waiters.insert(key.to_owned(), Arc::downgrade(&waiter));
        waiter
    }

    pub(super) async fn catch_up_with_all(&self) -> Result<(), BoxError> {
        for (key, _) in self.journal.all() {
            self.catch_up(&key).await?;
        }
        self.catch_up("").await
    }

    /// Finds out the epoch, whose beginning may have been missed, and trusts what is near from then on.
    pub(super) async fn recover(&self) -> Result<(), BoxError> {
        let now = self.read_clock().await?;
        self.quarantine.end(now);
        self.near.whole();
        Ok(())
    }

    /// Reads the server's clock, in us, and the epoch with it.
    pub(super) async fn read_clock(&self) -> Result<u64, BoxError> {
        let (key, asked) = (self.epoch_key(), Instant::now());
        let (epoch, now) = self.server.eval(&EPOCH, &[&key], &[]).await?;
        self.clock.set(now, asked);
        self.near.begin(epoch);
        Ok(now)
    }

    pub(super) fn in_background(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime leases run out, and writes are told of when their key is asked for.
        if let Ok(runtime) = Handle::try_current() {
            let _detached = self.tracker.spawn_on(work, &runtime);
        }
    }
}
