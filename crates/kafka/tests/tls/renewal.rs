//! A token that is replaced while a consumer runs.

use std::time::Duration;

use testkit::eventually;
use tokio::time::timeout;

use crate::broker::{Broker, event, next, open, put_token};

/// How long the first token is good for, in seconds.
const LIFE: i64 = 8;

/// The broker cuts off whoever has shown it no new token by then.
#[tokio::test]
async fn a_new_token_is_taken_before_the_old_one_expires() {
    let Some(broker) = Broker::shared().await else { return };
    let (others, folder) = (open(&broker.user("renewal")), testkit::temp_dir());
    others.publish(&[event(0)]).await.unwrap();
    let bus = open(&broker.holder("renewal", &put_token(&folder, LIFE)));
    let expires = clock::system().now().unix_timestamp() + LIFE;
    let member = bus.subscribe("group", &["a.b.v1"]).await.unwrap();
    let first = next(&*member).await;
    member.ack(&first).await.unwrap();
    put_token(&folder, 600);
    eventually!(within Duration::from_secs(20), {
        // As a service does, it asks for more all the time, and again where a connection was refused: brokers close one
        // whose token is renewed within a second of its login.
        let nothing = timeout(Duration::from_millis(200), member.fetch(1)).await;
        assert!(!matches!(nothing, Ok(Ok(_))), "{nothing:?}");
        clock::system().now().unix_timestamp() > expires + 2
    });
    others.publish(&[event(1)]).await.unwrap();
    let second = next(&*member).await;
    member.ack(&second).await.unwrap();
    bus.publish(&[event(2)]).await.unwrap();
    next(&*member).await;
    // A client that has not asked before.
    bus.dead_letters(None, 1).await.unwrap();
}
