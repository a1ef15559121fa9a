//! What breaks under a group at work: its server, and the group itself.

use std::{sync::Arc, time::Duration};

use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    Breakable, Broker, DEADLINE,
    applying::{Inbox, Member, insist},
    event,
};
use crate::{Bus, Event};

const LEASE: Duration = Duration::from_secs(1);
const KEYS: u64 = 5;

/// Publishes so many events of each key, one round after the other.
async fn publish_rounds(bus: &Arc<dyn Bus>, keys: u64, rounds: u64, pause: Duration) {
    for number in 0..rounds {
        insist(bus, &(0..keys).map(|key| event(key, number)).collect::<Vec<Event>>()).await;
        sleep(pause).await;
    }
}

/// Two members and a publisher at work while `breaking` goes on: nothing is lost, applied twice, or out of order.
async fn under_work(broker: &dyn Breakable, breaking: impl Future<Output = ()>) {
    const EVENTS: u64 = 80;
    let inbox = Arc::new(Inbox::default());
    let members = [Member::start(broker.open(LEASE).await, &inbox), Member::start(broker.open(LEASE).await, &inbox)];
    let bus = broker.open(LEASE).await;
    insist(&bus, &[event("first", 0)]).await;
    testkit::eventually!(within DEADLINE, inbox.count() == 1);
    sleep(broker.settles()).await;
    tokio::join!(publish_rounds(&bus, KEYS, EVENTS, Duration::from_millis(30)), breaking);
    inbox.settled(&bus, KEYS * EVENTS + 1).await;
    for member in members {
        member.stop().await;
    }
    inbox.forget("first");
    inbox.assert_whole(KEYS, EVENTS);
}

/// With SIGKILL, five times.
pub async fn nothing_is_lost_when_the_server_is_killed(broker: &dyn Breakable) {
    let killing = async {
        for _ in 0..5 {
            sleep(Duration::from_millis(400)).await;
            broker.kill_and_restart().await;
        }
    };
    under_work(broker, killing).await;
}

/// Connections stay open and nothing answers: for longer than a lease, three times.
pub async fn nothing_is_lost_when_the_server_sleeps(broker: &dyn Breakable) {
    let sleeping = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(400)).await;
            broker.pause();
            sleep(LEASE * 2).await;
            broker.resume();
        }
    };
    under_work(broker, sleeping).await;
}

/// Connections break, and nobody can make new ones: for longer than a lease, three times.
pub async fn nothing_is_lost_when_the_network_is_cut(broker: &dyn Breakable) {
    let cutting = async {
        for _ in 0..3 {
            sleep(Duration::from_millis(400)).await;
            broker.cut();
            sleep(LEASE * 2).await;
            broker.restore();
        }
    };
    under_work(broker, cutting).await;
}

/// A member joins or leaves every half second, while slow members work: nothing is lost, applied twice, or out of order.
pub async fn members_come_and_go(broker: &dyn Broker) {
    const EVENTS: u64 = 40;
    const MANY: u64 = 20;
    let (inbox, done) = (Arc::new(Inbox::slow(Duration::from_millis(20))), CancellationToken::new());
    let stays = Member::start(broker.open(LEASE).await, &inbox);
    let bus = broker.open(LEASE).await;
    let storm = async {
        let (mut random, mut others) = (StdRng::seed_from_u64(5), Vec::new());
        while done.run_until_cancelled(sleep(Duration::from_millis(500))).await.is_some() {
            if others.len() < 3 && random.random_bool(0.6) {
                others.push(Member::start(broker.open(LEASE).await, &inbox));
            } else if !others.is_empty() {
                others.swap_remove(random.random_range(0..others.len())).stop().await;
            }
        }
        for other in others {
            other.stop().await;
        }
    };
    let work = async {
        publish_rounds(&bus, MANY, EVENTS, Duration::from_millis(200)).await;
        inbox.settled(&bus, MANY * EVENTS).await;
        done.cancel();
    };
    tokio::join!(storm, work);
    stays.stop().await;
    inbox.assert_whole(MANY, EVENTS);
}
