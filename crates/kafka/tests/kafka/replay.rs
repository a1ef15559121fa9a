//! A dead letter that is given back and given up again.

use std::time::Duration;

use messaging::{Bus as _, Cause, Event, Reason, Resolution};
use testkit::{eventually, servers::Kafka};

const REPLAYS: u32 = 12;
const DEADLINE: Duration = Duration::from_secs(30);

/// Whoever gives it up again may be quicker than whoever takes the old dead letter back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_again_at_once_is_a_dead_letter_again() {
    let Some(server) = Kafka::shared().await else { return };
    let bus = kafka::Bus::open(&server.fresh(), true, clock::system()).unwrap();
    let member = bus.subscribe("group", &["thing.happened.v1"]).await.unwrap();
    let event = Event::new("thing.happened.v1", "test", "key", clock::system().now(), 1).unwrap();
    bus.publish(std::slice::from_ref(&event)).await.unwrap();
    let giving_up = async {
        loop {
            for delivery in member.fetch(1).await.unwrap() {
                let reason = Reason { cause: Cause::Permanent, detail: "never".to_owned() };
                member.dead_letter(&delivery, reason).await.unwrap();
            }
        }
    };
    let replaying = async {
        for replays in 0..REPLAYS {
            let given_up = async || {
                let dead = bus.dead_letters(Some("group"), 10).await.unwrap();
                dead.iter().any(|dead| dead.replays == replays)
            };
            eventually!(within DEADLINE, given_up().await);
            assert_eq!(bus.resolve("group", &[event.id], Resolution::Replay).await.unwrap(), 1);
        }
    };
    tokio::select! {
        () = giving_up => {}
        () = replaying => {}
    }
}
