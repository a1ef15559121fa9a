//! Much work under kills, and what a restart of the server costs.

use std::{
    fmt,
    time::{Duration, Instant},
};

use messaging::{
    Event,
    suite::applying::{Inbox, Member, insist},
};
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use std::sync::Arc;
use tokio::time::sleep;

use super::brokers::Broker;

/// Numbers that are counted; each is an event, and its answer is another.
const COUNTED: i64 = 25_000;
const KILLS: u32 = 20;
const SEED: u64 = 17;
/// Nothing takes longer than this.
const PATIENCE: Duration = Duration::from_mins(20);

/// What came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Applied {
    pub(crate) events: i64,
    pub(crate) kills: u32,
    pub(crate) took: Duration,
}

impl fmt::Display for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, kills, took } = self;
        write!(
            f,
            "{events} events through consumers killed {kills} times: each applied once, in order per key, {} s",
            took.as_secs()
        )
    }
}

/// 50,000 events through two processes, one of which is killed with SIGKILL at random, again and again while they work.
///
/// # Panics
/// An event is lost, applied twice or out of order.
pub(crate) async fn fifty_thousand(broker: &Broker) -> Applied {
    let place = (broker.place)().await;
    let mut random = StdRng::seed_from_u64(SEED);
    let started = Instant::now();
    let mut processes = [place.start(None, COUNTED, ""), place.start(None, COUNTED, "")];
    let mut kills = 0;
    while kills < KILLS {
        sleep(Duration::from_millis(random.random_range(500..3_000))).await;
        let victim = &mut processes[random.random_range(0..2)];
        assert!(victim.try_wait().unwrap().is_none(), "all is done after {kills} kills: count more");
        victim.kill().await.unwrap();
        *victim = place.start(None, COUNTED, "");
        kills += 1;
    }
    for process in &mut processes {
        let status = testkit::eventually!(within PATIENCE, process.try_wait().unwrap());
        assert!(status.success(), "seed {SEED}");
    }
    let took = started.elapsed();
    let applied = place.verify(COUNTED, false).await;
    Applied { events: i64::try_from(applied.len()).unwrap(), kills, took }
}

/// How long it takes from the moment a server that was killed answers again until the first event is published and applied;
/// nothing where there is no server.
pub(crate) async fn restart(broker: &Broker) -> Option<Duration> {
    const LEASE: Duration = Duration::from_secs(1);
    let server = (broker.alone?)().await;
    let inbox = Arc::new(Inbox::default());
    let member = Member::start(server.open(LEASE).await, &inbox);
    let bus = server.open(LEASE).await;
    let event =
        |number: u64| Event::new("thing.happened.v1", "conformance", "key", clock::system().now(), number).unwrap();
    insist(&bus, &[event(0)]).await;
    testkit::eventually!(within PATIENCE, inbox.count() == 1);
    sleep(server.settles()).await;
    server.kill_and_restart().await;
    let answers = Instant::now();
    insist(&bus, &[event(1)]).await;
    testkit::eventually!(within PATIENCE, inbox.count() == 2);
    let took = answers.elapsed();
    member.stop().await;
    Some(took)
}
