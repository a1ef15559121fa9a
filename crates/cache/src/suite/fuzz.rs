//! Seeded schedules of reads, writes, put, invalidate, failures and cancelled calls, with a pause at every await.
//!
//! What must hold: a read that begins after a write was put or invalidated never sees older data,
//! and when all is quiet nothing cached is older than the database.
//! The same schedules break the cache that everybody writes first, which shows that they are worth something.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use async_trait::async_trait;
use futures::future::{LocalBoxFuture, join_all};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use tokio::time::{sleep, timeout};

use super::fresh_key;
use crate::{BoxError, Cache, Entry, Fill, Invalidation, LeaseRequest, LeaseToken, Listener, Lookup, Policy, Store};

/// The size of one schedule.
#[derive(Clone, Copy, Debug)]
pub struct Schedule {
    /// What the schedule is made from: the same seed, the same steps and pauses.
    pub seed: u64,
    /// How many do something at the same time.
    pub actors: u64,
    /// What each of them does, one after the other.
    pub steps: usize,
    /// The longest pause at an await.
    pub pause: Duration,
}

const KEYS: u32 = 2;
const SEEDS: u64 = 25;

pub async fn no_schedule_leaves_stale_values(store: Arc<dyn Store>) {
    let mut naive_failures = 0;
    for seed in 0..SEEDS {
        let schedule = Schedule { seed, actors: 6, steps: 30, pause: Duration::from_millis(3) };
        let ours = run(schedule, |pauses| {
            let slow = Arc::new(Slow { inner: Arc::clone(&store), pauses });
            let brief = Policy { ttl: schedule.pause * 10, lease_ttl: schedule.pause * 20, ..Policy::default() };
            let tags = |key: &String| vec![key.clone()];
            let node = || Cache::new("fuzz", Arc::clone(&slow) as Arc<dyn Store>, brief);
            // Every other schedule invalidates by tags.
            if seed % 2 == 0 {
                return Nodes([node(), node()], By::Key);
            }
            Nodes([node().with_tags(tags), node().with_tags(tags)], By::Tag)
        });
        assert_eq!(ours.await, Vec::<String>::new(), "{schedule:?}");
        let naive = run(schedule, |pauses| Naive { pauses, values: Mutex::default() });
        naive_failures += usize::from(!naive.await.is_empty());
    }
    assert!(naive_failures > 0, "the schedules are too tame to prove anything");
}

/// A seeded source of pauses.
#[derive(Debug)]
struct Pauses {
    random: Mutex<SmallRng>,
    longest: Duration,
}

impl Pauses {
    fn pick(&self, below: u32) -> u32 {
        self.random.lock().unwrap().random_range(0..below)
    }

    async fn pause(&self) {
        // Often none at all, so that steps also follow each other closely.
        match self.pick(8) {
            0..4 => tokio::task::yield_now().await,
            share => sleep(self.longest * share / 7).await,
        }
    }
}

/// What a schedule is run against.
trait Subject {
    fn read<'a>(&'a self, node: usize, key: &'a str, load: Loader<'a>) -> LocalBoxFuture<'a, Result<Option<u64>, ()>>;
    fn peek<'a>(&'a self, node: usize, key: &'a str) -> LocalBoxFuture<'a, Option<u64>>;
    fn wrote<'a>(&'a self, node: usize, key: &'a str, put: Option<u64>) -> LocalBoxFuture<'a, ()>;
}

type Loader<'a> = Box<dyn FnOnce() -> LocalBoxFuture<'a, Result<Option<u64>, ()>> + 'a>;

/// Two nodes with this crate's cache on one store.
struct Nodes([Cache<String, u64>; 2], By);

/// How what is written is invalidated.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Key,
    Tag,
}

impl Subject for Nodes {
    fn read<'a>(&'a self, node: usize, key: &'a str, load: Loader<'a>) -> LocalBoxFuture<'a, Result<Option<u64>, ()>> {
        let cache = &self.0[node];
        Box::pin(async move { cache.get_or_load(&key.to_owned(), |version| *version, load).await.map_err(drop) })
    }

    fn peek<'a>(&'a self, node: usize, key: &'a str) -> LocalBoxFuture<'a, Option<u64>> {
        Box::pin(async move { self.0[node].get(&key.to_owned()).await })
    }

    fn wrote<'a>(&'a self, node: usize, key: &'a str, put: Option<u64>) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            match put {
                Some(version) => self.0[node].put(&key.to_owned(), Some(&version), version).await,
                None if self.1 == By::Tag => self.0[node].invalidate_tag(key).await,
                None => self.0[node].invalidate(&key.to_owned()).await,
            }
        })
    }
}

/// Get, else load and set; write, then set or delete. No lease, no generation, no version.
struct Naive {
    pauses: Arc<Pauses>,
    values: Mutex<std::collections::HashMap<String, u64>>,
}

impl Subject for Naive {
    fn read<'a>(&'a self, node: usize, key: &'a str, load: Loader<'a>) -> LocalBoxFuture<'a, Result<Option<u64>, ()>> {
        Box::pin(async move {
            if let Some(value) = self.peek(node, key).await {
                return Ok(Some(value));
            }
            let loaded = load().await?;
            self.pauses.pause().await;
            if let Some(value) = loaded {
                self.values.lock().unwrap().insert(key.to_owned(), value);
            }
            Ok(loaded)
        })
    }

    fn peek<'a>(&'a self, _node: usize, key: &'a str) -> LocalBoxFuture<'a, Option<u64>> {
        Box::pin(async move {
            self.pauses.pause().await;
            self.values.lock().unwrap().get(key).copied()
        })
    }

    fn wrote<'a>(&'a self, _node: usize, key: &'a str, put: Option<u64>) -> LocalBoxFuture<'a, ()> {
        Box::pin(async move {
            self.pauses.pause().await;
            let mut values = self.values.lock().unwrap();
            match put {
                Some(version) => _ = values.insert(key.to_owned(), version),
                None => _ = values.remove(key),
            }
        })
    }
}

/// One row: its version, and the version that every reader must see by now.
#[derive(Default)]
struct Row {
    key: String,
    version: Cell<u64>,
    settled: Cell<u64>,
}

/// One run of a schedule.
struct Run<S> {
    subject: S,
    pauses: Arc<Pauses>,
    rows: [Row; KEYS as usize],
    faults: RefCell<Vec<String>>,
}

async fn run<S: Subject>(schedule: Schedule, subject: impl FnOnce(Arc<Pauses>) -> S) -> Vec<String> {
    let pauses = |seed| {
        let random = Mutex::new(SmallRng::seed_from_u64(seed));
        Arc::new(Pauses { random, longest: schedule.pause })
    };
    let rows = std::array::from_fn(|_| Row { key: fresh_key(), ..Row::default() });
    let run = Rc::new(Run {
        subject: subject(pauses(schedule.seed)),
        pauses: pauses(schedule.seed ^ 0xACE),
        rows,
        faults: RefCell::default(),
    });
    join_all((0..schedule.actors).map(|actor| {
        let (run, choices) = (Rc::clone(&run), pauses(schedule.seed * 1000 + actor));
        async move {
            for _ in 0..schedule.steps {
                run.step(&choices).await;
            }
        }
    }))
    .await;
    run.check_at_rest().await;
    run.faults.take()
}

impl<S: Subject> Run<S> {
    async fn step(&self, choices: &Pauses) {
        let row = &self.rows[choices.pick(KEYS) as usize];
        let node = choices.pick(2) as usize;
        choices.pause().await;
        match choices.pick(10) {
            0..4 => self.read(row, node, choices.pick(10) == 0).await,
            4 => _ = timeout(self.pauses.longest, self.read(row, node, false)).await,
            5 | 6 => self.peek(row, node).await,
            7 => self.write(row, node, true).await,
            _ => self.write(row, node, false).await,
        }
    }

    async fn read(&self, row: &Row, node: usize, fails: bool) {
        let settled = row.settled.get();
        let load: Loader<'_> = Box::new(move || {
            Box::pin(async move {
                self.pauses.pause().await;
                let version = row.version.get();
                self.pauses.pause().await;
                if fails { Err(()) } else { Ok((version > 0).then_some(version)) }
            })
        });
        if let Ok(value) = self.subject.read(node, &row.key, load).await {
            self.expect("read", value.unwrap_or_default(), settled);
        }
    }

    async fn peek(&self, row: &Row, node: usize) {
        let settled = row.settled.get();
        if let Some(version) = self.subject.peek(node, &row.key).await {
            self.expect("peek", version, settled);
        }
    }

    async fn write(&self, row: &Row, node: usize, put: bool) {
        self.pauses.pause().await;
        let version = row.version.get() + 1;
        row.version.set(version);
        self.pauses.pause().await;
        self.subject.wrote(node, &row.key, put.then_some(version)).await;
        row.settled.set(row.settled.get().max(version));
    }

    async fn check_at_rest(&self) {
        for row in &self.rows {
            for node in 0..2 {
                if let Some(version) = self.subject.peek(node, &row.key).await {
                    self.expect("at rest", version, row.version.get());
                }
            }
        }
    }

    fn expect(&self, what: &str, seen: u64, settled: u64) {
        if seen < settled {
            self.faults.borrow_mut().push(format!("{what}: saw {seen} after {settled} was settled"));
        }
    }
}

/// A store on a slow network.
#[derive(Debug)]
struct Slow {
    inner: Arc<dyn Store>,
    pauses: Arc<Pauses>,
}

impl Slow {
    async fn slowly<T>(&self, call: impl Future<Output = T>) -> T {
        self.pauses.pause().await;
        let answer = call.await;
        self.pauses.pause().await;
        answer
    }
}

#[async_trait]
impl Store for Slow {
    fn get_local(&self, key: &str) -> Option<Entry> {
        self.inner.get_local(key).filter(|_| self.pauses.pick(2) == 0)
    }

    async fn get(&self, key: &str) -> Result<Option<Entry>, BoxError> {
        self.slowly(self.inner.get(key)).await
    }

    async fn get_or_lease(&self, key: &str, request: &LeaseRequest) -> Result<Lookup, BoxError> {
        self.slowly(self.inner.get_or_lease(key, request)).await
    }

    async fn renew(&self, key: &str, token: LeaseToken, ttl: Duration) -> Result<bool, BoxError> {
        self.slowly(self.inner.renew(key, token, ttl)).await
    }

    async fn fill(&self, key: &str, token: LeaseToken, fill: Fill) -> Result<bool, BoxError> {
        self.slowly(self.inner.fill(key, token, fill)).await
    }

    async fn extend(&self, key: &str, token: LeaseToken, soft_ttl: Duration) -> Result<bool, BoxError> {
        self.slowly(self.inner.extend(key, token, soft_ttl)).await
    }

    fn abandon(&self, key: &str, token: LeaseToken) {
        self.inner.abandon(key, token);
    }

    async fn wait(&self, key: &str, holder: LeaseToken) {
        self.inner.wait(key, holder).await;
    }

    async fn put(&self, key: &str, fill: Fill, data_version: u64) -> Result<bool, BoxError> {
        self.slowly(self.inner.put(key, fill, data_version)).await
    }

    async fn invalidate(&self, key: &str, invalidation: Invalidation) -> Result<u64, BoxError> {
        self.slowly(self.inner.invalidate(key, invalidation)).await
    }

    fn add_listener(&self, listener: Weak<dyn Listener>) {
        self.inner.add_listener(listener);
    }
}
