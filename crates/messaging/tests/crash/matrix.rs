//! Processes that die or sleep at any point: nothing is lost, nothing is applied twice, every key stays in order.

use std::collections::HashMap;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::servers::{Nats, Postgres};

use super::store;
use super::worker::{KEYS, LEASE, bus};

const PATIENCE: Duration = Duration::from_mins(2);

/// A store and a bus, empty.
struct Place {
    store: String,
    bus: String,
    _folder: Option<testkit::TempDir>,
}

impl Place {
    fn embedded() -> Self {
        let folder = testkit::temp_dir();
        let url = |name| testkit::sqlite_url(&folder, name);
        Self { store: url("service.db"), bus: url("bus.db"), _folder: Some(folder) }
    }

    /// `None` where there are no servers.
    async fn real() -> Option<Self> {
        let (postgres, nats) = (Postgres::shared().await?, Nats::shared().await?);
        Some(Self { store: postgres.database().await, bus: nats.fresh(), _folder: None })
    }

    fn start(&self, total: i64, trap: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .args(["worker::child", "--exact", "--nocapture"])
            .env("WORKER_STORE", &self.store)
            .env("WORKER_BUS", &self.bus)
            .env("WORKER_TOTAL", total.to_string())
            .env("WORKER_TRAP", trap)
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Everything was applied once, each key in order, and nothing is left anywhere.
    async fn verify(&self, total: i64) {
        let (store, bus) = (store::open(&self.store).await, bus(&self.bus).await);
        let mut keys: HashMap<(String, String), Vec<i64>> = HashMap::new();
        for (kind, key, number) in store.applied().await {
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
        let depth = store.outbox().depth().await.unwrap();
        assert_eq!((depth.count, depth.dead), (0, 0));
        assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
    }
}

/// The moments between two durable writes, of relay and consumer.
const TRAPS: [&str; 11] = [
    "before claim",
    "after claim",
    "before publish",
    "after publish",
    "before confirm",
    "after confirm",
    "after fetch",
    "before commit",
    "after commit",
    "before ack",
    "after ack",
];

async fn dies_at(trap: &str, place: &Place) {
    let mut dying = place.start(30, trap);
    let status = testkit::eventually!(within PATIENCE, dying.try_wait().unwrap());
    assert!(!status.success(), "the trap {trap} was sprung");
    let mut living = place.start(30, "");
    let status = testkit::eventually!(within PATIENCE, living.try_wait().unwrap());
    assert!(status.success(), "after {trap}");
    place.verify(30).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing() {
    for trap in TRAPS {
        dies_at(trap, &Place::embedded()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing_on_real_servers() {
    for trap in TRAPS {
        let Some(place) = Place::real().await else { return };
        dies_at(trap, &place).await;
    }
}

fn signal(process: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &process.id().to_string()]).status().unwrap().success());
}

/// Two processes on one store and one bus. At random one of them is killed with -9, or sleeps until its leases have
/// passed to the other and wakes up in the middle of what it was doing.
async fn at_random(place: &Place, total: i64, seed: u64) {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let mut pair = [place.start(total, ""), place.start(total, "")];
    for _ in 0..24 {
        tokio::time::sleep(Duration::from_millis(random.random_range(40..350))).await;
        let victim = &mut pair[random.random_range(0..2)];
        if victim.try_wait().unwrap().is_none() && random.random_bool(0.3) {
            signal(victim, "-STOP");
            tokio::time::sleep(LEASE * 2).await;
            signal(victim, "-CONT");
        } else {
            victim.kill().unwrap();
            victim.wait().unwrap();
            *victim = place.start(total, "");
        }
    }
    for process in &mut pair {
        let status = testkit::eventually!(within PATIENCE, process.try_wait().unwrap());
        assert!(status.success(), "seed {seed}");
    }
    place.verify(total).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing() {
    at_random(&Place::embedded(), 1_500, 17).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing_on_real_servers() {
    let Some(place) = Place::real().await else { return };
    at_random(&place, 1_500, 18).await;
}
