//! The log is not the one that the group knows: recreated, gone, or shorter than what was read.

use std::{path::Path, sync::Arc, time::Duration};

use messaging::Event;
use testkit::servers::Nats;
use tokio::time::sleep;

use super::support::{Inbox, Member, event, events, insist, open, operator, stream_name};

/// Events of several keys, numbered from `first` on.
fn round(first: u64, count: u64) -> Vec<Event> {
    (first..first + count).map(|number| event(number % 7, number)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_disappears_is_declared_again_and_read_from_its_start() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let member = Member::start(open(&url).await, &inbox);
    insist(&bus, &round(0, 50)).await;
    testkit::eventually!(within Duration::from_secs(30), inbox.count() == 50);
    operator(&url).await.delete_stream(stream_name(&url, "events")).await.unwrap();
    // Fewer than were read before: sequences begin anew.
    insist(&bus, &round(50, 20)).await;
    testkit::eventually!(within Duration::from_secs(30), inbox.count() == 70);
    member.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_was_made_again_while_nobody_looked_is_read_from_its_start() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let member = Member::start(open(&url).await, &inbox);
    insist(&bus, &round(0, 50)).await;
    inbox.settled(&bus, 50).await;
    member.stop().await;
    let operator = operator(&url).await;
    let config = events(&url).await.get_info().await.unwrap().config;
    operator.delete_stream(stream_name(&url, "events")).await.unwrap();
    // The server moves the old one's folder away after it has answered (2.15).
    sleep(Duration::from_secs(2)).await;
    operator.create_stream(config).await.unwrap();
    insist(&bus, &round(50, 20)).await;
    let member = Member::start(open(&url).await, &inbox);
    testkit::eventually!(within Duration::from_secs(30), inbox.count() == 70);
    member.stop().await;
}

/// As after a power cut under a lazy sync, or from a copy of the messages alone: the consumers know more than the log.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_is_shorter_than_what_was_read_is_read_from_its_start() {
    let Some(server) = Nats::alone().await else { return };
    let url = server.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let member = Member::start(open(&url).await, &inbox);
    insist(&bus, &round(0, 30)).await;
    inbox.settled(&bus, 30).await;
    let messages = server.data().join("jetstream/$G/streams").join(stream_name(&url, "events")).join("msgs");
    let copy = testkit::temp_dir();
    server.kill();
    copy_folder(&messages, copy.path());
    server.restart().await;
    insist(&bus, &round(30, 60)).await;
    inbox.settled(&bus, 90).await;
    server.kill();
    std::fs::remove_dir_all(&messages).unwrap();
    copy_folder(copy.path(), &messages);
    server.restart().await;
    assert!(events(&url).await.get_info().await.unwrap().state.last_sequence <= 30);
    // Their sequences were read before, as those of other events.
    insist(&bus, &round(90, 20)).await;
    testkit::eventually!(within Duration::from_mins(1), inbox.count() == 110);
    member.stop().await;
}

/// Somebody has published to a subject of ours.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_holds_up_nothing() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    insist(&bus, &[event("key", 0)]).await;
    let subject = events(&url).await.get_raw_message(1).await.unwrap().subject;
    operator(&url).await.publish(subject, "not ours".into()).await.unwrap().await.unwrap();
    insist(&bus, &[event("key", 1)]).await;
    let member = Member::start(open(&url).await, &inbox);
    inbox.settled(&bus, 2).await;
    member.stop().await;
    assert_eq!(inbox.applied()["key"], [0, 1]);
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}
