//! What is declared and what is left to the operator, and what the server's own tools show.

use std::{sync::Arc, time::Duration};

use async_nats::jetstream::{
    consumer::{FromConsumer as _, pull},
    stream::Config,
};
use futures::TryStreamExt as _;
use messaging::{Bus as _, Cause, Error, Event, Reason, Resolution};
use testkit::servers::Nats;

use super::support::{Inbox, KIND, Member, event, events, insist, open, operator, settled, stream_name};

#[tokio::test]
async fn streams_that_are_there_stay_as_the_operator_has_them() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let limited = format!("{url}&max_bytes=1000000&max_age=2h");
    open(&limited).await.ping().await.unwrap();
    let config = || async { events(&url).await.get_info().await.unwrap().config };
    assert_eq!((config().await.max_bytes, config().await.max_age), (1_000_000, Duration::from_hours(2)));
    let edited = Config { max_age: Duration::from_hours(9), ..config().await };
    operator(&url).await.update_stream(edited).await.unwrap();
    open(&format!("{url}&max_age=3h")).await.ping().await.unwrap();
    assert_eq!(config().await.max_age, Duration::from_hours(9));
    let declaring = nats::Bus::open(&format!("{url}&max_age=3h"), true, clock::system()).await.unwrap();
    declaring.ping().await.unwrap();
    assert_eq!(config().await.max_age, Duration::from_hours(3));
}

/// Dead letters are bounded: where there is no room for another, what fails is neither given up nor lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_there_is_no_room_for_is_tried_on() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    let member = bus.subscribe("group", &[KIND]).await.unwrap();
    let (context, name) = (operator(&url).await, stream_name(&url, "dead"));
    let config = context.get_stream(&name).await.unwrap().get_info().await.unwrap().config;
    assert_eq!(config.max_messages, 100_000);
    context.update_stream(Config { max_messages: 1, ..config }).await.unwrap();
    let reason = || Reason { cause: Cause::Permanent, detail: "bad".to_owned() };
    let next = async || member.fetch(1).await.unwrap().remove(0);
    let (first, second) = (event("a", 1), event("a", 2));
    bus.publish(&[first.clone(), second.clone()]).await.unwrap();
    member.dead_letter(&next().await, reason()).await.unwrap();
    let refused = member.dead_letter(&next().await, reason()).await.unwrap_err();
    assert!(matches!(refused, Error::NoRoom), "{refused}");
    assert_eq!(next().await.event.id, second.id, "again");
    assert_eq!(bus.count_dead_letters("group").await.unwrap(), 1);
    assert_eq!(bus.resolve("group", &[first.id], Resolution::Replay).await.unwrap(), 1);
    let again = next().await;
    assert_eq!(again.event.id, second.id);
    member.dead_letter(&again, reason()).await.unwrap();
    let replayed = next().await;
    assert_eq!(replayed.event.id, first.id);
    member.ack(&replayed).await.unwrap();
}

/// An account that may not create streams works with those that are there, and says what is missing otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_that_may_not_create_streams_is_enough() {
    let settings = r#"
        jetstream: {}
        accounts: { A: { jetstream: enabled, users: [
            { user: operator, password: o },
            { user: service, password: s, permissions: { publish: { deny: ["$JS.API.STREAM.CREATE.>", "$JS.API.STREAM.UPDATE.>"] } } }
        ] } }
    "#;
    let Some(server) = Nats::with_settings(settings).await else { return };
    let host = server.url().trim_start_matches("nats://");
    let url = format!("nats://service:s@{host}?prefix=shop");
    let refused = open(&url).await.ping().await.unwrap_err();
    let refused = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.contains("shop-events") && refused.contains("create it yourself"), "{refused}");
    let client = async_nats::ConnectOptions::with_user_and_password("operator".into(), "o".into());
    let operator = async_nats::jetstream::new(client.connect(host).await.unwrap());
    for (name, subjects) in [("shop-events", vec!["shop.event.>", "shop.replay.>"]), ("shop-dead", vec!["shop.dead.>"])]
    {
        let subjects = subjects.into_iter().map(str::to_owned).collect();
        operator.create_stream(Config { name: name.to_owned(), subjects, ..Config::default() }).await.unwrap();
    }
    let (bus, inbox) = (open(&url).await, Arc::new(Inbox::default()));
    let member = Member::start(open(&url).await, &inbox);
    insist(&bus, &[event("a", 1), event("b", 2)]).await;
    testkit::eventually!(within Duration::from_secs(30), inbox.count() == 2);
    member.stop().await;
}

/// An account whose streams must have a bound.
#[tokio::test]
async fn an_account_that_demands_max_bytes_is_given_it() {
    let settings = r"
        jetstream: {}
        accounts: { A: { jetstream: { max_bytes_required: true, max_store: 100MB }, users: [{ user: u, password: p }] } }
        no_auth_user: u
    ";
    let Some(server) = Nats::with_settings(settings).await else { return };
    let url = server.fresh();
    let refused = open(&url).await.ping().await.unwrap_err();
    let refused = std::error::Error::source(&refused).unwrap().to_string();
    assert!(refused.contains("max_bytes"), "{refused}");
    open(&format!("{url}&max_bytes=1048576")).await.ping().await.unwrap();
}

/// What `nats consumer report` reads: lag and redeliveries by group and partition, and asking for depth makes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_own_report_shows_groups_and_partitions() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    let subscription = bus.subscribe("group", &[KIND]).await.unwrap();
    insist(&bus, &(0..40).map(|n| event(n, n)).collect::<Vec<_>>()).await;
    let stream = events(&url).await;
    let report = || async {
        let infos: Vec<_> = stream.consumers().try_collect().await.unwrap();
        let sum = |of: fn(&async_nats::jetstream::consumer::Info) -> u64| infos.iter().map(of).sum::<u64>();
        (infos.len(), sum(|info| info.num_pending), sum(|info| info.num_redelivered as u64))
    };
    assert_eq!(report().await, (32, 40, 0));
    for _ in 0..5 {
        assert_eq!(bus.depth("group").await.unwrap(), 40);
    }
    assert_eq!(report().await.0, 32, "asking made no consumers");
    let delivery = subscription.fetch(1).await.unwrap().remove(0);
    subscription.retry(&delivery, Duration::from_millis(10)).await.unwrap();
    let again = loop {
        let fetched = subscription.fetch(8).await.unwrap();
        if let Some(again) = fetched.into_iter().find(|fetched| fetched.event.id == delivery.event.id) {
            break again;
        }
    };
    assert_eq!((again.attempt, report().await.2), (2, 1));
    subscription.close().await;
    let inbox = Arc::new(Inbox::default());
    let member = Member::start(open(&url).await, &inbox);
    settled(&bus).await;
    member.stop().await;
    assert_eq!(report().await, (32, 0, 0));
    assert!(stream_name(&url, "events").ends_with("-events"));
}

/// The server replaces a consumer's settings as a whole: of two members that change them at once, one may undo what the
/// other needs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_newcomer_has_undone_is_put_right() {
    const NEW: &str = "thing.renamed.v1";
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    let member = bus.subscribe("group", &[KIND, NEW]).await.unwrap();
    insist(&bus, &[event("a", 1)]).await;
    let delivery = member.fetch(1).await.unwrap().remove(0);
    member.ack(&delivery).await.unwrap();
    let stream = events(&url).await;
    let all_have_the_new_kind = || async {
        let infos: Vec<_> = stream.consumers().try_collect().await.unwrap();
        infos.iter().all(|info| info.config.filter_subjects.iter().any(|subject| subject.ends_with(NEW)))
    };
    assert!(all_have_the_new_kind().await);
    let infos: Vec<_> = stream.consumers().try_collect().await.unwrap();
    for info in infos {
        let mut config = pull::Config::try_from_consumer_config(info.config).unwrap();
        config.filter_subjects.retain(|subject| !subject.ends_with(NEW));
        stream.update_consumer(config).await.unwrap();
    }
    let newcomer = open(&url).await.subscribe("group", &[KIND]).await.unwrap();
    let work = async { tokio::join!(member.fetch(1), newcomer.fetch(1)) };
    let put_right = async {
        testkit::eventually!(within Duration::from_secs(10), all_have_the_new_kind().await);
    };
    tokio::select! {
        _ = work => unreachable!("there is no event"),
        () = put_right => {}
    }
}

/// What the stream never takes is refused, and what is published with it is not.
#[tokio::test]
async fn what_is_too_large_for_the_stream_is_refused_for_good() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    bus.ping().await.unwrap();
    let config = events(&url).await.get_info().await.unwrap().config;
    operator(&url).await.update_stream(Config { max_message_size: 1_000, ..config }).await.unwrap();
    let large = Event::new(KIND, "test", "large", clock::system().now(), "x".repeat(1_000)).unwrap();
    let refused = bus.publish(&[event("a", 1), large.clone()]).await.unwrap_err();
    assert!(matches!(refused, Error::Rejected { id, .. } if id == large.id), "{refused:?}");
    bus.publish(&[event("b", 2)]).await.unwrap();
}

/// A dead letter that cannot be read, and one of a version that knows other causes: the others are listed all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_dead_letter_that_cannot_be_read_holds_up_no_other() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    let member = bus.subscribe("group", &[KIND]).await.unwrap();
    insist(&bus, &[event("a", 1)]).await;
    let delivery = member.fetch(1).await.unwrap().remove(0);
    let reason = Reason { cause: Cause::Permanent, detail: String::new() };
    member.dead_letter(&delivery, reason).await.unwrap();
    let operator = operator(&url).await;
    let dead = operator.get_stream(stream_name(&url, "dead")).await.unwrap();
    let subject = dead.cached_info().config.subjects[0].replace('>', "group.spoilt");
    let stored = dead.get_raw_message(dead.cached_info().state.last_sequence).await.unwrap();
    operator.publish(subject, "no headers".into()).await.unwrap().await.unwrap();
    let mut headers = stored.headers.clone();
    headers.insert("dead-cause", "to be invented");
    headers.insert("Nats-Msg-Id", "another");
    operator.publish_with_headers(stored.subject.clone(), headers, stored.payload).await.unwrap().await.unwrap();
    let listed = bus.dead_letters(Some("group"), 9).await.unwrap();
    let causes: Vec<Cause> = listed.iter().map(|dead| dead.reason.cause).collect();
    assert!(causes.contains(&Cause::Unknown), "{causes:?}");
    assert_eq!(bus.resolve("group", &[delivery.event.id], Resolution::Replay).await.unwrap(), 1);
}

/// A server refuses the next one where a thousand consumers of a stream are left behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listing_dead_letters_leaves_nothing_behind() {
    let Some(server) = Nats::shared().await else { return };
    let url = server.fresh();
    let bus = open(&url).await;
    let member = bus.subscribe("group", &[KIND]).await.unwrap();
    insist(&bus, &[event("a", 1), event("b", 2)]).await;
    for _ in 0..2 {
        let delivery = member.fetch(1).await.unwrap().remove(0);
        let reason = Reason { cause: Cause::Permanent, detail: String::new() };
        member.dead_letter(&delivery, reason).await.unwrap();
    }
    for _ in 0..3 {
        assert_eq!(bus.dead_letters(None, 100).await.unwrap().len(), 2);
        assert_eq!(bus.dead_letters(Some("group"), 1).await.unwrap().len(), 1);
        assert!(bus.dead_letters(Some("nobody"), 100).await.unwrap().is_empty());
    }
    let stream = operator(&url).await.get_stream(stream_name(&url, "dead")).await.unwrap();
    assert_eq!(stream.cached_info().state.consumer_count, 0);
}
