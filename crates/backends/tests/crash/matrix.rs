//! Processes that die or sleep at any point: nothing is lost, nothing is applied twice, every key stays in order.

use std::time::Duration;

use messaging::Track;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;

use super::place::Place;
use super::store::{Applied, is_marked};
use super::worker::LEASE;

const PATIENCE: Duration = Duration::from_mins(2);

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
    let mut dying = place.start(None, 30, trap);
    let status = testkit::eventually!(within PATIENCE, dying.try_wait().unwrap());
    assert!(!status.success(), "the trap {trap} was sprung");
    let mut living = place.start(None, 30, "");
    let status = testkit::eventually!(within PATIENCE, living.try_wait().unwrap());
    assert!(status.success(), "after {trap}");
    place.verify(30, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing() {
    for trap in TRAPS {
        dies_at(trap, &Place::embedded()).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing_on_nats() {
    for trap in TRAPS {
        let Some(place) = Place::on_nats().await else { return };
        dies_at(trap, &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing_on_kafka() {
    for trap in TRAPS {
        let Some(place) = Place::on_kafka().await else { return };
        dies_at(trap, &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crash_between_any_two_writes_changes_nothing_on_rabbitmq() {
    for trap in TRAPS {
        let Some(place) = Place::on_rabbitmq().await else { return };
        dies_at(trap, &place).await;
    }
}

async fn signal(process: &Child, name: &str) {
    let pid = process.id().unwrap().to_string();
    assert!(Command::new("kill").args([name, &pid]).status().await.unwrap().success());
}

/// Processes with short leases need a machine: beside those of another test they would lose their leases to want
/// of time, and get nowhere.
static MACHINE: Mutex<()> = Mutex::const_new(());

/// Processes on one store and one bus. At random one of them is killed with -9, or sleeps until its leases have passed to
/// another and wakes up in the middle of what it was doing.
async fn at_random<const N: usize>(place: &Place, tracks: [Option<Track>; N], total: i64, seed: u64) {
    let _alone = MACHINE.lock().await;
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(seed);
    let mut random = StdRng::seed_from_u64(seed);
    let mut processes = tracks.map(|track| place.start(track, total, ""));
    for _ in 0..24 {
        tokio::time::sleep(Duration::from_millis(random.random_range(40..350))).await;
        let chosen = random.random_range(0..N);
        let victim = &mut processes[chosen];
        if victim.try_wait().unwrap().is_none() && random.random_bool(0.3) {
            signal(victim, "-STOP").await;
            tokio::time::sleep(LEASE * 2).await;
            signal(victim, "-CONT").await;
        } else {
            victim.kill().await.unwrap();
            *victim = place.start(tracks[chosen], total, "");
        }
    }
    for process in &mut processes {
        let status = testkit::eventually!(within PATIENCE, process.try_wait().unwrap());
        assert!(status.success(), "seed {seed}");
    }
}

const PAIR: [Option<Track>; 2] = [None; 2];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing() {
    let place = Place::embedded();
    at_random(&place, PAIR, 1_500, 17).await;
    place.verify(1_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing_on_nats() {
    let Some(place) = Place::on_nats().await else { return };
    at_random(&place, PAIR, 1_500, 18).await;
    place.verify(1_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing_on_kafka() {
    let Some(place) = Place::on_kafka().await else { return };
    at_random(&place, PAIR, 1_500, 18).await;
    place.verify(1_500, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_at_random_change_nothing_on_rabbitmq() {
    let Some(place) = Place::on_rabbitmq().await else { return };
    at_random(&place, PAIR, 1_500, 18).await;
    place.verify(1_500, false).await;
}

/// Only the canary knows of the marked events, while it lives, and of nothing else.
async fn with_a_canary(place: &Place, halves: bool, seed: u64) {
    at_random(place, [Track::Stable, Track::Stable, Track::Canary].map(Some), 1_500, seed).await;
    let all = place.verify(1_500, halves).await;
    assert!(all.iter().any(|applied| applied.canary), "the canary had its part");
    for Applied { kind, key, number, .. } in all.iter().filter(|applied| applied.canary) {
        assert!(is_marked(*number), "{kind} {number} of key {key} is not the canary's");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_of_two_versions_change_nothing() {
    with_a_canary(&Place::embedded(), false, 19).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_of_two_versions_change_nothing_on_nats() {
    let Some(place) = Place::on_nats().await else { return };
    with_a_canary(&place, true, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_of_two_versions_change_nothing_on_kafka() {
    let Some(place) = Place::on_kafka().await else { return };
    with_a_canary(&place, true, 20).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_and_pauses_of_two_versions_change_nothing_on_rabbitmq() {
    let Some(place) = Place::on_rabbitmq().await else { return };
    with_a_canary(&place, true, 20).await;
}
