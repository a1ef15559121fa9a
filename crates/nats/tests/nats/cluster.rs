//! Three servers with three copies of everything.

use std::{sync::Arc, time::Duration};

use messaging::{Bus, Event};
use testkit::servers::NatsCluster;
use tokio::time::sleep;

use super::support::{Inbox, Member, event, insist};

const KEYS: u64 = 40;

/// With the lease that ships.
async fn open(url: &str) -> Arc<dyn Bus> {
    Arc::new(nats::Bus::open(url, false, clock::system()).await.unwrap())
}

async fn publish(bus: &Arc<dyn Bus>, rounds: u64, pause: Duration) {
    for number in 0..rounds {
        insist(bus, &(0..KEYS).map(|key| event(key, number)).collect::<Vec<Event>>()).await;
        sleep(pause).await;
    }
}

/// Members join and leave while one server after the other is half a second behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_when_a_follower_is_behind_while_members_join() {
    let Some(cluster) = NatsCluster::start().await else { return };
    let url = cluster.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let steady = Member::start(open(&url).await, &inbox);
    let rounds = 140;
    let lagging = async {
        for turn in 0..8 {
            let node = turn % cluster.size();
            cluster.pause(node);
            let newcomer = Member::start(open(&url).await, &inbox);
            sleep(Duration::from_millis(500)).await;
            cluster.resume(node);
            sleep(Duration::from_millis(700)).await;
            newcomer.stop().await;
        }
    };
    tokio::join!(publish(&bus, rounds, Duration::from_millis(20)), lagging);
    inbox.settled(&bus, KEYS * rounds).await;
    steady.stop().await;
    inbox.assert_whole(KEYS, rounds);
}

/// One server after the other is killed and comes back, under load.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_of_the_servers_loses_nothing() {
    let Some(cluster) = NatsCluster::start().await else { return };
    let url = cluster.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let members = [Member::start(open(&url).await, &inbox), Member::start(open(&url).await, &inbox)];
    let rounds = 100;
    let restarting = async {
        for node in 0..cluster.size() {
            sleep(Duration::from_secs(2)).await;
            cluster.kill(node);
            sleep(Duration::from_millis(500)).await;
            cluster.restart(node).await;
            // An operator waits until the server has caught up before the next one goes.
            testkit::eventually!(within Duration::from_secs(30), bus.ping().await.is_ok());
            sleep(Duration::from_secs(3)).await;
        }
    };
    tokio::join!(publish(&bus, rounds, Duration::from_millis(80)), restarting);
    inbox.settled(&bus, KEYS * rounds).await;
    for member in members {
        member.stop().await;
    }
    inbox.assert_whole(KEYS, rounds);
}
