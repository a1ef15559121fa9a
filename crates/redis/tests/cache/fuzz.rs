//! Ten thousand seeded schedules over three nodes that share nothing but Redis, which each of them loses now and then.
//!
//! The same schedules break the cache that everybody writes first, which shows that they are worth something.

use std::{
    sync::{
        Arc, LazyLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use cache::{Cache, Policy};
use futures::{StreamExt as _, stream};
use rand::{RngExt as _, SeedableRng as _, rngs::SmallRng};
use redis::{CacheStore, Client, Script};
use testkit::{Proxy, servers::Redis as Server};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const SCHEDULES: u64 = 10_000;
const AT_ONCE: usize = 200;
const NODES: usize = 3;
const STEPS: usize = 10;
/// The longest pause between two steps, and of a load.
const PAUSE: Duration = Duration::from_millis(6);

static GET: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('GET', KEYS[1]) or '0'"));
static SET: LazyLock<Script> =
    LazyLock::new(|| Script::new("redis.call('SET', KEYS[1], ARGV[1], 'EX', 600) return ARGV[1]"));
static DEL: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call('DEL', KEYS[1]) return '0'"));

/// How often the nodes are looked at after the last schedule, 4 s apart, before what is stale counts as a fault.
const QUIET: usize = 6;

/// A node of ours, or one that gets, else loads and sets; and on a write sets or deletes.
enum Node {
    Ours(Cache<u64, u64>),
    Naive(Client),
}

impl Node {
    async fn read(&self, key: u64, load: impl AsyncFnOnce() -> u64) -> Option<u64> {
        match self {
            Self::Ours(cache) => {
                let load = || async { Ok::<_, ()>(Some(load().await)) };
                cache.get_or_load(&key, |version| *version, load).await.ok()?
            }
            Self::Naive(redis) => {
                let stored = self.peek(key).await.unwrap_or_default();
                if stored > 0 {
                    return Some(stored);
                }
                let loaded = load().await;
                // An error is ignored, as it is in most programs.
                let _: Result<u64, _> = redis.eval(&SET, &[&key.to_string()], &[loaded.to_string().as_bytes()]).await;
                Some(loaded)
            }
        }
    }

    async fn peek(&self, key: u64) -> Option<u64> {
        match self {
            Self::Ours(cache) => cache.get(&key).await,
            Self::Naive(redis) => redis.eval(&GET, &[&key.to_string()], &[]).await.ok().filter(|stored| *stored > 0),
        }
    }

    async fn wrote(&self, key: u64, version: u64, put: bool) {
        match self {
            Self::Ours(cache) if put => cache.put(&key, Some(&version), version).await,
            Self::Ours(cache) => cache.invalidate(&key).await,
            Self::Naive(redis) => {
                let text = version.to_string();
                let (script, args): (_, &[&[u8]]) = if put { (&SET, &[text.as_bytes()]) } else { (&DEL, &[]) };
                let _: Result<u64, _> = redis.eval(script, &[&key.to_string()], args).await;
            }
        }
    }
}

/// One key, its row in the database, and what is done with both at the same time.
async fn schedule(nodes: &[Node], number: u64, seed: u64) -> AtomicU64 {
    let row = AtomicU64::new(1);
    let actor = async |actor: u64| {
        let mut random = SmallRng::seed_from_u64(seed ^ (number * 64 + actor));
        for _ in 0..STEPS {
            sleep(PAUSE.mul_f64(random.random_range(0.0..1.0))).await;
            let node = &nodes[random.random_range(0..NODES)];
            let pause = PAUSE.mul_f64(random.random_range(0.0..1.0));
            match random.random_range(0..10) {
                0..5 => {
                    let load = async || {
                        let version = row.load(Ordering::SeqCst);
                        sleep(pause).await; // the slow reader
                        version
                    };
                    if random.random_bool(0.1) {
                        let _ = timeout(pause, node.read(number, load)).await;
                    } else {
                        let _ = node.read(number, load).await;
                    }
                }
                5 => _ = node.peek(number).await,
                kind => {
                    let version = row.fetch_add(1, Ordering::SeqCst) + 1;
                    sleep(pause).await;
                    node.wrote(number, version, kind % 2 == 0).await;
                }
            }
        }
    };
    futures::join!(actor(0), actor(1), actor(2));
    row
}

/// Disconnects one node after the other from Redis, for a while each.
async fn disconnect(proxies: &[Proxy], seed: u64, over: &AtomicBool) {
    let mut random = SmallRng::seed_from_u64(seed);
    while !over.load(Ordering::SeqCst) {
        sleep(Duration::from_millis(random.random_range(300..1500))).await;
        let proxy = &proxies[random.random_range(0..proxies.len())];
        proxy.cut();
        sleep(Duration::from_millis(random.random_range(20..800))).await;
        proxy.restore();
    }
}

/// Runs the schedules and returns, of each key, the nodes that know something older than the database at rest.
async fn stale(nodes: &[Node], proxies: &[Proxy], schedules: u64, seed: u64) -> Vec<String> {
    let over = AtomicBool::new(false);
    let running = async {
        let rows: Vec<(u64, AtomicU64)> = stream::iter(0..schedules)
            .map(|number| async move { (number, schedule(nodes, number, seed).await) })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        over.store(true, Ordering::SeqCst);
        rows
    };
    let (rows, ()) = tokio::join!(running, disconnect(proxies, seed, &over));
    let check = |(number, row): &(u64, AtomicU64)| {
        let (number, now) = (*number, row.load(Ordering::SeqCst));
        async move {
            let mut faults = Vec::new();
            for (index, node) in nodes.iter().enumerate() {
                if let Some(known) = node.peek(number).await.filter(|known| *known != now) {
                    faults.push(format!("key {number}: node {index} knows {known}, the database {now}"));
                }
            }
            faults
        }
    };
    // Until each node has replayed its journal and been notified; much sooner than anything expires.
    let mut faults = Vec::new();
    for _ in 0..QUIET {
        sleep(Duration::from_secs(4)).await;
        let checked: Vec<Vec<String>> = stream::iter(&rows).map(check).buffer_unordered(AT_ONCE).collect().await;
        faults = checked.into_iter().flatten().collect();
        if faults.is_empty() {
            break;
        }
    }
    faults
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_schedules_over_three_nodes_leave_nothing_stale() {
    let Some(server) = Server::shared().await else { return };
    let seed = std::env::var("TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20);
    let address = server.url().trim_start_matches("redis://").to_owned();
    let url = server.fresh();
    let prefix = url.rsplit_once('=').unwrap().1;
    let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
    let (mut proxies, mut ours, mut naive) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..NODES {
        let proxy = Proxy::to(&address).await;
        let url = format!("redis://{}?prefix={prefix}", proxy.address());
        let policy = Policy {
            lease_ttl: Duration::from_millis(100),
            store_timeout: Duration::from_millis(300),
            ..Policy::default()
        };
        let store = CacheStore::open(&url, &tracker, &stop).unwrap();
        ours.push(Node::Ours(Cache::new("fuzz", Arc::new(store), policy)));
        naive.push(Node::Naive(Client::open(&format!("redis://{}", proxy.address())).unwrap()));
        proxies.push(proxy);
    }
    let started = Instant::now();
    let faults = stale(&ours, &proxies, SCHEDULES, seed).await;
    println!("seed {seed}: {SCHEDULES} schedules of ours in {:.1?}: {} faults", started.elapsed(), faults.len());
    let known = stale(&naive, &proxies, SCHEDULES / 20, seed).await;
    println!("{} schedules of the naive cache: {} faults", SCHEDULES / 20, known.len());
    assert_eq!(faults, Vec::<String>::new(), "seed {seed}");
    assert!(!known.is_empty(), "the schedules are too tame to prove anything");
}
