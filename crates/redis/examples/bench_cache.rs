//! Measures a hit in local memory beside a raw moka get, and a hit in Redis beside a raw pooled GET of the same bytes.
//!
//! `make bench-cache`. Redis is started here, on loopback; some seconds in all.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    hint::black_box,
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use cache::{Cache, Policy, Store};
use futures::{StreamExt as _, stream};
use redis::{CacheStore, Client, Script};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const LOCAL_HITS: u32 = 1_000_000;
const REDIS_HITS: u32 = 40_000;
/// Callers at the same time: as many as connections.
const CALLERS: usize = 50;
const ROUNDS: usize = 5;

/// What the raw client does: one command that is routed by its key.
static GET: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('GET', KEYS[1])"));
static SET: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call('SET', KEYS[1], ARGV[1]) return 1"));

fn nanos(took: Duration, count: u32) -> f64 {
    took.as_secs_f64() * 1e9 / f64::from(count)
}

fn rate(took: Duration) -> f64 {
    f64::from(REDIS_HITS) / took.as_secs_f64()
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

async fn timed<F: Future<Output = ()>>(work: impl Fn() -> F) -> Duration {
    let started = Instant::now();
    stream::iter(0..REDIS_HITS).for_each_concurrent(CALLERS, |_| work()).await;
    started.elapsed()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Some(server) = testkit::servers::Redis::shared().await else { return };
    let url = server.fresh();
    let store: Arc<dyn Store> =
        Arc::new(CacheStore::open(&url, &TaskTracker::new(), &CancellationToken::new()).unwrap());
    let cache: Cache<u64, String> = Cache::new("bench", Arc::clone(&store), Policy::default());
    let value = "x".repeat(512);
    let load = || async { Ok::<_, ()>(Some(value.clone())) };
    cache.get_or_load(&1, |_| 1, load).await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await; // until the feed is connected
    cache.get_or_load(&1, |_| 1, load).await.unwrap();

    let raw = moka::sync::Cache::<String, String>::builder().max_capacity(1_000).build();
    raw.insert("bench:1".to_owned(), value.clone());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..LOCAL_HITS {
            black_box(cache.get_or_load(black_box(&1), |_| 1, load).await.unwrap());
        }
        ours.push(nanos(started.elapsed(), LOCAL_HITS));
        let started = Instant::now();
        for _ in 0..LOCAL_HITS {
            // A key is made of its parts here, too, and the value is the caller's.
            black_box(raw.get(black_box(&format!("bench:{}", 1))));
        }
        theirs.push(nanos(started.elapsed(), LOCAL_HITS));
    }
    let (ours, theirs) = (median(ours), median(theirs));
    println!(
        "in local memory: {ours:.0} ns a hit, {:.2} of the speed of a raw moka get ({theirs:.0} ns)",
        theirs / ours
    );

    let plain = Client::open(&url).unwrap();
    let _: u64 = plain.eval(&SET, &["bench:raw"], &[value.as_bytes()]).await.unwrap();
    let (mut ours, mut get, mut script) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(rate(timed(async || drop(black_box(store.get("bench:1").await.unwrap().unwrap()))).await));
        get.push(rate(timed(async || drop(black_box(plain.get("bench:raw").await.unwrap().unwrap()))).await));
        script.push(rate(
            timed(async || drop(black_box(plain.eval::<Vec<u8>>(&GET, &["bench:raw"], &[]).await.unwrap()))).await,
        ));
    }
    let (ours, get, script) = (median(ours), median(get), median(script));
    println!(
        "in Redis: {ours:.0} hits/s, {:.2} of a raw pooled GET ({get:.0}/s), {:.2} of the shortest script ({script:.0}/s)",
        ours / get,
        ours / script
    );
}
