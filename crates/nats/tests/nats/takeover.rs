//! An update from a release that kept its offsets in a bucket.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::kv;
use messaging::partitioned::partition_of;
use serde_json::json;
use testkit::servers::Nats;

use super::support::{Inbox, KIND, Member, event, insist, open, operator, stream_name};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_goes_on_where_the_last_release_left_it() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    // Sequences 1 to 20.
    for number in 1..=20 {
        insist(&bus, &[event("key", number)]).await;
    }
    let bucket = kv::Config { bucket: stream_name(&url, "groups"), ..kv::Config::default() };
    let bucket = operator(&url).await.create_key_value(bucket).await.unwrap();
    let entry = json!({"owner": "", "read": {KIND: 12, "~replay": 12}, "open": {"9": {"attempts": 2, "held": true}}});
    for partition in 0..32 {
        let entry = serde_json::to_vec(&entry).unwrap().into();
        bucket.put(format!("group.part.{partition}"), entry).await.unwrap();
    }
    assert!(partition_of("key", 16) < 16);
    let inbox = Arc::new(Inbox::default());
    let member = Member::start(open(&url).await, &inbox);
    inbox.settled(&bus, 12).await;
    member.stop().await;
    // From the first that was open; what was settled behind it comes again, and an inbox knows it.
    assert_eq!(inbox.applied()["key"], (9..=20).collect::<Vec<_>>());
    let other = Arc::new(Inbox::default());
    let member = Member::start(open(&url).await, &other);
    insist(&bus, &[event("key", 21)]).await;
    testkit::eventually!(within Duration::from_secs(30), other.count() == 1);
    member.stop().await;
}
