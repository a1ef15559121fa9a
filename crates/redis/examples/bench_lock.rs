//! Measures lock and unlock beside two raw round trips, and how soon a waiter gets the lock beside one.
//!
//! `make bench-lock`. Redis is started here, on loopback; some seconds in all.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use std::{
    sync::{Arc, LazyLock},
    time::{Duration, Instant},
};

use lock::{Locks, Policy};
use redis::{Client, LockBackend, Script};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PAIRS: u32 = 5_000;
const HANDOVERS: u32 = 500;
const ROUNDS: usize = 5;

static SET: LazyLock<Script> =
    LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', 10000)"));
static DEL: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('DEL', KEYS[1])"));

fn locks(url: &str) -> Locks {
    let backend = LockBackend::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap();
    Locks::new(Arc::new(backend), TaskTracker::new(), Policy::default())
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let Some(server) = testkit::servers::Redis::shared().await else { return };
    let url = server.fresh();
    let (here, there, plain) = (locks(&url), locks(&url), Client::open(&url).unwrap());
    tokio::time::sleep(Duration::from_secs(2)).await; // until the feed is connected
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let started = Instant::now();
        for _ in 0..PAIRS {
            here.lock("pair", Duration::ZERO).await.unwrap().release().await.unwrap();
        }
        ours.push(started.elapsed() / PAIRS);
        let started = Instant::now();
        for _ in 0..PAIRS {
            let _: Option<String> = plain.eval(&SET, &["raw"], &[b"1"]).await.unwrap();
            let _: u64 = plain.eval(&DEL, &["raw"], &[]).await.unwrap();
        }
        raw.push(started.elapsed() / PAIRS);
    }
    let (ours, raw) = (median(ours), median(raw));
    let ratio = raw.as_secs_f64() / ours.as_secs_f64();
    println!("lock and unlock: {ours:.1?}, {ratio:.2} of the speed of two raw round trips ({raw:.1?})");

    let mut waits = Vec::new();
    for _ in 0..HANDOVERS {
        let held = here.lock("hand", Duration::ZERO).await.unwrap();
        let waiting = async {
            let guard = there.lock("hand", Duration::from_secs(5)).await.unwrap();
            (Instant::now(), guard)
        };
        let releasing = async {
            tokio::time::sleep(Duration::from_millis(3)).await;
            let released = Instant::now();
            held.release().await.unwrap();
            released
        };
        let ((got, guard), released) = tokio::join!(waiting, releasing);
        waits.push(got.saturating_duration_since(released));
        guard.release().await.unwrap();
    }
    let (wait, trip) = (median(waits), raw / 2);
    let ratio = wait.as_secs_f64() / trip.as_secs_f64();
    println!("from release to the waiter's hold: {wait:.1?}, {ratio:.1} round trips ({trip:.1?} each)");
}
