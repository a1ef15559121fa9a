//! A tail whose server goes away and comes back, or comes back with another log.

use std::time::Duration;

use futures::TryStreamExt as _;
use messaging::{Event, Tail, Tailed};
use testkit::servers::Nats;
use tokio::time::timeout;

use super::support::{KIND, event, events, insist, open, operator, stream_name};

fn round(first: u64, count: u64) -> Vec<Event> {
    (first..first + count).map(|number| event(number % 7, number)).collect()
}

/// What it reads next, however often the server does not answer meanwhile; `None` is a gap.
async fn next(tail: &mut Box<dyn Tail>) -> Option<u64> {
    let reading = async {
        loop {
            match tail.next().await {
                Ok(Tailed::Event(_, event)) => return Some(event.decode().unwrap()),
                Ok(Tailed::Gap) => return None,
                Err(error) => assert!(error.may_retry(), "{error}"),
            }
        }
    };
    timeout(Duration::from_mins(1), reading).await.expect("something in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_comes_back_leaves_no_gap() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, mut tail) = (open(&url).await, open(&url).await.tail(&[KIND], 0).await.unwrap());
    let publishing = async {
        for first in (0..200).step_by(20) {
            for event in round(first, 20) {
                insist(&bus, &[event]).await;
            }
            if first % 60 == 40 {
                server.kill();
                server.restart().await;
            }
        }
    };
    let reading = async {
        for number in 0..200 {
            assert_eq!(next(&mut tail).await, Some(number));
        }
    };
    tokio::join!(publishing, reading);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_is_a_gap() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, mut tail) = (open(&url).await, open(&url).await.tail(&[KIND], 0).await.unwrap());
    for event in round(0, 5) {
        insist(&bus, &[event]).await;
    }
    for number in 0..5 {
        assert_eq!(next(&mut tail).await, Some(number));
    }
    let before = tail.cursor().clone();
    operator(&url).await.delete_stream(stream_name(&url, "events")).await.unwrap();
    insist(&bus, &round(5, 1)).await;
    // The new log may be found while it is empty, or with the event in it: then the gap is before what comes next.
    let told = next(&mut tail).await;
    assert_eq!(told, None);
    assert!(!tail.cursor().includes(&before));
    insist(&bus, &round(6, 1)).await;
    let told = next(&mut tail).await.unwrap();
    assert!(told == 5 && next(&mut tail).await == Some(6) || told == 6, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_keeps_nothing_for_long() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let tail = open(&url).await.tail(&[KIND], 0).await.unwrap();
    let consumers: Vec<_> = events(&url).await.consumers().try_collect().await.unwrap();
    let [consumer] = &consumers[..] else { panic!("{consumers:?}") };
    assert_eq!((consumer.config.durable_name.as_ref(), consumer.config.memory_storage), (None, true));
    assert_eq!(consumer.config.inactive_threshold, Duration::from_secs(30));
    drop(tail);
}
