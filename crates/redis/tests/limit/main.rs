//! The contract suite of limiters over Redis and Redis Cluster, and what only holds there.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{sync::LazyLock, time::Duration};

use limit::{Decision, Limiter as _, Quota};
use redis::{Client, Limiter, Script};
use testkit::servers::Redis as RedisServer;

const QUOTA: Quota = Quota { burst: 2, refill: Duration::from_mins(1) };

mod single {
    testkit::suite! { limit::suite, &redis::Limiter::open(&match testkit::servers::Redis::shared().await {
        Some(server) => server.fresh(),
        None => return,
    }).unwrap() }
}

mod cluster {
    testkit::suite! { limit::suite, &redis::Limiter::open(&match testkit::servers::RedisCluster::shared().await {
        Some(cluster) => cluster.fresh(),
        None => return,
    }).unwrap() }
}

/// What honest people took has to be given back, also while there is no room for what others take.
#[tokio::test]
async fn permits_are_given_back_while_memory_is_full() {
    let Some(server) = RedisServer::alone().await else { return };
    let url = server.fresh();
    let (limiter, client) = (Limiter::open(&url).unwrap(), Client::open(&url).unwrap());
    for _ in 0..2 {
        assert_eq!(limiter.take("one", QUOTA).await.unwrap(), Decision::Allowed);
    }
    let key = format!("{}:limit:one", client.prefix());
    let full_at = async || {
        let bytes = client.get(&key).await.unwrap()?;
        Some(String::from_utf8(bytes).unwrap().parse::<u64>().unwrap())
    };
    let before = full_at().await.unwrap();
    server.fill_up();
    limiter.give_back("one", QUOTA).await.unwrap();
    assert_eq!(full_at().await, Some(before - 60_000));
    limiter.give_back("one", QUOTA).await.unwrap();
    assert_eq!(full_at().await, None);
}

/// Somebody wrote under the name of a count: it begins anew.
#[tokio::test]
async fn foreign_values_are_removed() {
    static SPOIL: LazyLock<Script> =
        LazyLock::new(|| Script::new("redis.call('DEL', KEYS[1]) redis.call(ARGV[1], KEYS[1], 'foreign') return 1"));
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (limiter, client) = (Limiter::open(&url).unwrap(), Client::open(&url).unwrap());
    let key = format!("{}:limit:one", client.prefix());
    for command in ["RPUSH", "SET"] {
        client.eval::<i64>(&SPOIL, &[&key], &[command.as_bytes()]).await.unwrap();
        limiter.give_back("one", QUOTA).await.unwrap();
        client.eval::<i64>(&SPOIL, &[&key], &[command.as_bytes()]).await.unwrap();
        for _ in 0..2 {
            assert_eq!(limiter.take("one", QUOTA).await.unwrap(), Decision::Allowed);
        }
        assert!(matches!(limiter.take("one", QUOTA).await.unwrap(), Decision::Refused { .. }));
        limiter.reset("one").await.unwrap();
    }
}
