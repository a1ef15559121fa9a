//! What the calls of a store have in common: scripts, and the state that a process has once.

use std::{
    collections::HashMap,
    sync::{
        Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use cache::{BoxError, Entry, Fill, Invalidation, LeaseToken, Listener};
use futures::{StreamExt as _, stream};
use opentelemetry::metrics::ObservableGauge;
use resilience::{Breaker, BreakerConfig, Failed, LastFailure, State};
use semconv::{Metric, metrics};
use tokio::{runtime::Handle, sync::Notify, time::Instant};
use tokio_util::task::TaskTracker;

use super::{
    journal::Journal,
    local::{Local, PendingRead},
    metrics::{Metrics, observe},
    quarantine::Quarantine,
    reply::Reply,
    server_clock::ServerClock,
};
use crate::{Client, Error, Script, pool::SILENCE};

macro_rules! script {
    ($name:ident, $type:literal, $($file:literal),+) => {
        pub(super) static $name: LazyLock<Script> =
            LazyLock::new(|| Script::healing(&[$type], concat!($(include_str!($file)),+)));
    };
    ($name:ident: $file:literal) => {
        script!($name, "hash", "../number.lua", "common.lua", $file);
    };
}
script!(GET_OR_LEASE, "hash", "../number.lua", "return_if_fresh.lua", "common.lua", "get_or_lease.lua");
script!(GET, "hash", "../number.lua", "return_if_fresh.lua", "return_none.lua");
script!(RENEW: "renew.lua");
script!(STORE: "store.lua");
script!(EXTEND: "extend.lua");
script!(ABANDON: "abandon.lua");
script!(WATCH_LEASE: "watch_lease.lua");
script!(INVALIDATE: "invalidate.lua");
script!(BEGIN_EPOCH, "string", "../number.lua", "epoch.lua", "begin_epoch.lua");
script!(READ_CLOCK, "string", "../number.lua", "epoch.lua", "read_clock.lua");

/// Five failures in a row open it.
const BREAKER: BreakerConfig = BreakerConfig {
    window: 5,
    failure_rate: 1.0,
    open: Duration::from_secs(1),
    open_max: Duration::from_secs(30),
    abandoned_after: Some(SILENCE),
};

/// Writes of the journal that are replayed at a time, on one connection.
const REPLAYS: usize = 64;

/// The breaker is open, and the failure since which it has been.
#[derive(Debug, thiserror::Error)]
#[error("redis is not asked: its circuit breaker is open")]
struct NotAsked(#[source] Option<Failed>);

pub(super) struct Inner {
    pub(super) client: Client,
    /// Identifies this process' own messages.
    pub(super) source: String,
    pub(super) channel: String,
    pub(super) local: Local,
    pub(super) breaker: Breaker,
    last: LastFailure,
    pub(super) journal: Journal,
    pub(super) quarantine: Quarantine,
    pub(super) metrics: Metrics,
    pub(super) clock: ServerClock,
    /// How many connections the feed has had.
    connections: AtomicU64,
    /// The feed's connection, as long as local values are not trusted on it yet.
    resync_for: Mutex<Option<u64>>,
    waiters: Mutex<HashMap<String, Weak<Notify>>>,
    listeners: Mutex<Vec<Weak<dyn Listener>>>,
    tracker: TaskTracker,
    weak: Weak<Self>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(super) fn millis(time: Duration) -> String {
    time.as_millis().max(1).to_string()
}

/// Value, soft expiry and how far ahead that was, generation, load time.
type Fields = (Option<Vec<u8>>, Option<u64>, Option<u64>, Option<u64>, Option<u64>);

/// What a plain read, without a script, says of a value.
pub(super) enum PlainRead {
    /// It is fresh, however little is known of the server's clock.
    Fresh(Entry),
    /// There is none.
    Missing,
    /// Only the server's own clock can tell.
    Unsure,
}

impl Inner {
    pub(super) fn new(client: Client, tracker: &TaskTracker) -> Arc<Self> {
        let inner = Arc::new_cyclic(|weak| Self {
            source: LeaseToken::random().to_string(),
            channel: format!("{}:cache:feed", client.prefix()),
            local: Local::new(),
            breaker: Breaker::new(BREAKER),
            last: LastFailure::default(),
            journal: Journal::default(),
            quarantine: Quarantine::new(),
            metrics: Metrics::new(),
            clock: ServerClock::default(),
            connections: AtomicU64::default(),
            resync_for: Mutex::default(),
            waiters: Mutex::default(),
            listeners: Mutex::default(),
            tracker: tracker.clone(),
            weak: Weak::clone(weak),
            client,
        });
        inner.gauge(&metrics::CACHE_BREAKER_STATE, |inner| u64::from(inner.breaker.state() != State::Closed));
        inner.gauge(&metrics::CACHE_QUARANTINE, |inner| u64::from(inner.quarantine.is_active()));
        inner.gauge(&metrics::CACHE_JOURNAL, |inner| inner.journal.len());
        inner
    }

    fn gauge(&self, metric: &Metric<ObservableGauge<u64>>, read: fn(&Self) -> u64) {
        let weak = Weak::clone(&self.weak);
        observe(metric, move || weak.upgrade().map(|inner| read(&inner)));
    }

    fn stored_key(&self, key: &str) -> String {
        format!("{{{}:cache:{}:{key}}}", self.client.prefix(), self.local.epoch())
    }

    fn epoch_key(&self) -> String {
        format!("{}:cache:epoch", self.client.prefix())
    }

    /// Reads a value without a script, which costs Redis half as much.
    pub(super) async fn read_plain(&self, key: &str) -> Result<PlainRead, BoxError> {
        let Some(now) = self.clock.upper_bound() else { return Ok(PlainRead::Unsure) };
        let key = self.stored_key(key);
        let fields = async {
            match self.client.hash::<Fields>(&key, &["v", "s", "sl", "g", "d"]).await {
                // A script removes it.
                Err(error) if error.is_foreign_value() => Ok(None),
                fields => fields.map(Some),
            }
        };
        let Some(fields) = self.through_breaker(fields).await? else { return Ok(PlainRead::Unsure) };
        let (Some(value), Some(soft_expiry), soft_ttl, Some(generation), Some(load_time)) = fields else {
            return Ok(PlainRead::Missing);
        };
        let left = soft_expiry.saturating_sub(now / 1000);
        if left == 0 || soft_ttl.is_some_and(|soft_ttl| left > soft_ttl) {
            return Ok(PlainRead::Unsure);
        }
        let fresh_for = Duration::from_millis(left);
        let load_time = Duration::from_millis(load_time);
        Ok(PlainRead::Fresh(Entry { value: value.into(), generation, fresh_for, load_time }))
    }

    /// Runs a script on the key, unless the breaker is open.
    pub(super) async fn run(&self, script: &Script, key: &str, args: &[&[u8]]) -> Result<Reply, BoxError> {
        let key = self.stored_key(key);
        Ok(Reply(self.through_breaker(self.client.eval(script, &[&key], args)).await?))
    }

    /// Whether Redis answers, whatever the breaker thinks of it.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.client.get(&self.epoch_key()).await.map(drop)
    }

    async fn through_breaker<T>(&self, call: impl Future<Output = Result<T, Error>>) -> Result<T, BoxError> {
        let permit = self.breaker.permit().map_err(|_| NotAsked(self.last.check().err()))?;
        let result = call.await;
        match &result {
            // Whatever it refuses else, it does for others: one that is full still takes invalidations.
            Err(error) if error.is_outage() => {
                self.last.failed(error);
                permit.fail();
            }
            _ => permit.succeed(),
        }
        Ok(result?)
    }

    /// Tells Redis of the writes of this key that it does not know of yet.
    pub(super) async fn replay_journal_of(&self, key: &str) -> Result<(), BoxError> {
        if self.journal.overflow().is_some() {
            self.begin_epoch().await?;
        }
        if let Some(sequence) = self.journal.sequence_of(key) {
            self.invalidate(key, Invalidation::Remove).await?;
            self.journal.remove(key, sequence);
        }
        Ok(())
    }

    /// Tells Redis of all writes that it does not know of yet. Until then other processes serve what was before them: so
    /// many at a time, the earliest first, and one that fails holds up no other.
    pub(super) async fn replay_journal(&self) -> Result<(), BoxError> {
        // Where it has overflowed, that is made up for first, and once.
        self.replay_journal_of("").await?;
        let replays = stream::iter(self.journal.keys()).map(async |key| self.replay_journal_of(&key).await);
        replays.buffer_unordered(REPLAYS).fold(Ok(()), async |all, one| all.and(one)).await
    }

    /// Invalidates everything that is stored: keys of another epoch are not read any more, and expire.
    async fn begin_epoch(&self) -> Result<(), BoxError> {
        let overflow = self.journal.overflow().unwrap_or_default();
        let key = self.epoch_key();
        let epoch: u64 = self.client.eval(&BEGIN_EPOCH, &[&key], &[self.channel.as_bytes()]).await?;
        self.local.begin_epoch(epoch);
        self.journal.clear_overflow(overflow);
        Ok(())
    }

    pub(super) async fn invalidate(&self, key: &str, invalidation: Invalidation) -> Result<u64, BoxError> {
        let how: &[u8] = match invalidation {
            Invalidation::Remove => b"remove",
            Invalidation::Expire => b"expire",
        };
        let args = [how, self.source.as_bytes(), self.channel.as_bytes(), key.as_bytes()];
        self.run(&INVALIDATE, key, &args).await?.number(0)
    }

    /// What `fill` and `put` have in common: `writer` is the lease's token, or the source of the put.
    pub(super) async fn store(
        &self,
        key: &str,
        (how, writer): (&[u8], &str),
        fill: &Fill,
        data_version: Option<u64>,
    ) -> Result<Reply, BoxError> {
        let version = data_version.map(|version| version.to_string()).unwrap_or_default();
        let (soft_ttl, hard_ttl, load_time) = (millis(fill.soft_ttl), millis(fill.hard_ttl), millis(fill.load_time));
        let args = [
            how,
            writer.as_bytes(),
            &fill.value,
            version.as_bytes(),
            soft_ttl.as_bytes(),
            hard_ttl.as_bytes(),
            load_time.as_bytes(),
            self.channel.as_bytes(),
            key.as_bytes(),
        ];
        self.run(&STORE, key, &args).await
    }

    /// Stores locally what Redis has just stored.
    pub(super) fn store_local(&self, key: &str, read: PendingRead, fill: Fill, generation: u64) {
        let entry = Entry { value: fill.value, generation, fresh_for: fill.soft_ttl, load_time: fill.load_time };
        self.local.store(key, read, &entry);
    }

    pub(super) fn wake_waiters(&self, key: &str) {
        if let Some(waiter) = lock(&self.waiters).get(key).and_then(Weak::upgrade) {
            waiter.notify_waiters();
        }
    }

    pub(super) fn wake_all_waiters(&self) {
        lock(&self.waiters).values().filter_map(Weak::upgrade).for_each(|waiter| waiter.notify_waiters());
    }

    /// Makes or finds what is notified when something happens to the key; kept while somebody waits.
    pub(super) fn waiter(&self, key: &str) -> Arc<Notify> {
        let mut waiters = lock(&self.waiters);
        if let Some(waiter) = waiters.get(key).and_then(Weak::upgrade) {
            return waiter;
        }
        waiters.retain(|_, waiter| waiter.strong_count() > 0);
        let waiter = Arc::<Notify>::default();
        waiters.insert(key.to_owned(), Arc::downgrade(&waiter));
        waiter
    }

    /// Notifies this process of its own write; the script has notified the others.
    pub(super) fn notify_own(&self, key: &str, generation: u64) {
        self.metrics.sent();
        self.notify(key, generation);
    }

    /// Notifies this process of a write.
    pub(super) fn notify(&self, key: &str, generation: u64) {
        self.local.on_write(key, generation);
        self.wake_waiters(key);
        self.for_each_listener(|listener| listener.on_invalidated(key, generation));
    }

    pub(super) fn add_listener(&self, listener: Weak<dyn Listener>) {
        lock(&self.listeners).push(listener);
    }

    pub(super) fn for_each_listener(&self, call: impl Fn(&dyn Listener)) {
        lock(&self.listeners).retain(|listener| {
            let listener = listener.upgrade();
            if let Some(listener) = &listener {
                call(&**listener);
            }
            listener.is_some()
        });
    }

    /// From now on each write is notified of; those before may have been missed.
    pub(super) fn feed_connected(&self) {
        *lock(&self.resync_for) = Some(self.connections.fetch_add(1, Ordering::Relaxed));
        let Some(inner) = self.weak.upgrade() else { return };
        self.spawn(async move {
            // Until then local values are trusted as little as during the outage; `maintain` tries again.
            if let Err(error) = inner.resync().await {
                tracing::debug!(error, "cache epoch not known yet");
            }
        });
    }

    /// From now on notifications may be missed.
    pub(super) fn feed_disconnected(&self) {
        let mut resync_for = lock(&self.resync_for);
        *resync_for = None;
        self.local.disconnected();
        if let Some(server_time) = self.clock.upper_bound() {
            self.quarantine.on_disconnected(server_time);
        }
    }

    /// Learns the epoch, whose beginning may have been missed, and trusts local values from then on.
    pub(super) async fn resync(&self) -> Result<(), BoxError> {
        let Some(connection) = *lock(&self.resync_for) else { return Ok(()) };
        let now = self.read_clock().await?;
        let mut resync_for = lock(&self.resync_for);
        // The feed may have been disconnected meanwhile, which a late answer must not undo.
        if *resync_for == Some(connection) {
            *resync_for = None;
            self.quarantine.on_connected(now);
            self.local.connected();
        }
        Ok(())
    }

    /// Reads the server's clock, in us, and the epoch with it.
    pub(super) async fn read_clock(&self) -> Result<u64, BoxError> {
        let (key, asked_at) = (self.epoch_key(), Instant::now());
        let (epoch, now) = self.client.eval(&READ_CLOCK, &[&key], &[self.channel.as_bytes()]).await?;
        self.clock.set(now, asked_at);
        self.local.begin_epoch(epoch);
        Ok(now)
    }

    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime leases expire by themselves, and the journal is replayed when its keys are read.
        if let Ok(runtime) = Handle::try_current() {
            let _detached = self.tracker.spawn_on(work, &runtime);
        }
    }
}
