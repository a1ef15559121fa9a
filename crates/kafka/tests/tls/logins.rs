//! Each login publishes, consumes, and reads dead letters.

use crate::broker::{Broker, PASSWORD, event, next, open, put_token};
use messaging::{Cause, Reason};

/// One event goes round, another one dies.
async fn works(url: &str) {
    let bus = open(url);
    bus.publish(&[event(1)]).await.unwrap();
    let member = bus.subscribe("group", &["a.b.v1"]).await.unwrap();
    let first = next(&*member).await;
    member.ack(&first).await.unwrap();
    bus.publish(&[event(2)]).await.unwrap();
    let second = next(&*member).await;
    let reason = Reason { cause: Cause::Permanent, detail: "of no use".to_owned() };
    member.dead_letter(&second, reason).await.unwrap();
    let dead = bus.dead_letters(Some("group"), 10).await.unwrap();
    assert_eq!(dead.iter().map(|dead| dead.event.id).collect::<Vec<_>>(), [second.event.id]);
    assert_eq!(bus.depth("group").await.unwrap(), 0);
    bus.ping().await.unwrap();
    member.close().await;
}

#[tokio::test]
async fn a_password_is_shown_or_proved() {
    let Some(broker) = Broker::shared().await else { return };
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        let login = format!("trireme:{PASSWORD}@");
        let prefix = mechanism.to_lowercase().replace('-', "_");
        works(&broker.url(&prefix, &login, &format!("&sasl={mechanism}"))).await;
    }
}

#[tokio::test]
async fn a_token_is_enough_where_the_topics_are_there() {
    let Some(broker) = Broker::shared().await else { return };
    let folder = testkit::temp_dir();
    let url = broker.holder("token", &put_token(&folder, 600));
    let missing = open(&url).publish(&[event(1)]).await.map_err(|error| error::chain(&error)).unwrap_err();
    assert!(missing.contains("topics are missing: token.events, token.events-canary, token.dead"), "{missing}");
    // Somebody with a password declares them.
    open(&broker.user("token")).dead_letters(None, 1).await.unwrap();
    works(&url).await;
    let mut tail = open(&url).tail(&["a.b.v1"], 10).await.unwrap();
    tail.next().await.unwrap();
}

#[tokio::test]
async fn a_certificate_is_enough_where_it_is_asked_for() {
    let Some(broker) = Broker::mutual().await else { return };
    let certificate = format!("&cert={}&key={}", broker.file("client.pem"), broker.file("client.key"));
    works(&broker.url("mutual", "", &certificate)).await;
    let none = open(&broker.url("mutual", "", "")).publish(&[event(1)]).await;
    let none = none.map_err(|error| error::chain(&error)).unwrap_err();
    assert!(none.contains("certificate"), "{none}");
}
