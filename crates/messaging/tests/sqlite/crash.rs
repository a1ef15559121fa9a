//! Processes that die at any point: nothing is lost, nothing is applied twice, every key stays in order.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use messaging::sqlite::SqliteOutbox;
use messaging::{Bus, Outbox};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::worker::{KEYS, open};

const PATIENCE: Duration = Duration::from_mins(2);

fn start(folder: &str, total: i64, trap: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["worker::child", "--exact", "--nocapture"])
        .env("WORKER_FOLDER", folder)
        .env("WORKER_TOTAL", total.to_string())
        .env("WORKER_TRAP", trap)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Everything was applied once, each key in order, and nothing is left anywhere.
async fn verify(folder: &str, total: i64) {
    let (database, bus) = open(folder).await;
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT kind, key, number FROM applied ORDER BY seq").fetch_all(&database.read).await.unwrap();
    let mut keys: HashMap<(String, String), Vec<i64>> = HashMap::new();
    for (kind, key, number) in rows {
        keys.entry((kind, key)).or_default().push(number);
    }
    let count = i64::try_from(KEYS).unwrap();
    for kind in ["counted.v1", "heard.v1"] {
        for key in 0..count {
            let expected: Vec<i64> = (1..=total).filter(|number| number % count == key).collect();
            let applied = keys.remove(&(kind.to_owned(), key.to_string())).unwrap_or_default();
            assert_eq!(applied, expected, "{kind} of key {key}");
        }
    }
    assert!(keys.is_empty());
    let outbox = SqliteOutbox::open(database, clock::system()).await.unwrap();
    let depth = outbox.depth().await.unwrap();
    assert_eq!((depth.count, depth.dead), (0, 0));
    assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
}

/// Each point between two durable writes, by name.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing() {
    for trap in [
        "before publish",
        "after publish",
        "before confirm",
        "after confirm",
        "after fetch",
        "before commit",
        "after commit",
        "before ack",
        "after ack",
    ] {
        let folder = testkit::temp_dir();
        let folder = folder.path().to_str().unwrap();
        let mut dying = start(folder, 30, trap);
        let status = testkit::eventually!(within PATIENCE, dying.try_wait().unwrap());
        assert!(!status.success(), "the trap {trap} was sprung");
        let mut living = start(folder, 30, "");
        let status = testkit::eventually!(within PATIENCE, living.try_wait().unwrap());
        assert!(status.success(), "after {trap}");
        verify(folder, 30).await;
    }
}

/// Two processes on one store and one bus, killed with -9 at random, two dozen times.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_at_random_change_nothing() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(17);
    let mut random = StdRng::seed_from_u64(seed);
    let folder = testkit::temp_dir();
    let folder = folder.path().to_str().unwrap();
    let total = 1500;
    let mut pair = [start(folder, total, ""), start(folder, total, "")];
    for _ in 0..24 {
        tokio::time::sleep(Duration::from_millis(random.random_range(40..350))).await;
        let victim = &mut pair[random.random_range(0..2)];
        victim.kill().unwrap();
        victim.wait().unwrap();
        *victim = start(folder, total, "");
    }
    for process in &mut pair {
        let status = testkit::eventually!(within PATIENCE, process.try_wait().unwrap());
        assert!(status.success(), "seed {seed}");
    }
    verify(folder, total).await;
}
