//! What becomes of what is stored under a wrong clock, or in foreign hands.

use std::{sync::LazyLock, time::Duration};

use bytes::Bytes;
use cache::{Fill, LeaseRequest, LeaseToken, Lookup};
use redis::{Client, Script};
use testkit::servers::Redis as RedisServer;
use tokio::time::sleep;

use crate::{cache, open};

const SHORT: Duration = Duration::from_millis(300);

fn fill(value: &'static str) -> Fill {
    let value = Bytes::from_static(value.as_bytes());
    Fill { value, data_version: None, soft_ttl: SHORT, hard_ttl: SHORT * 2, load_time: Duration::ZERO }
}

fn request() -> LeaseRequest {
    LeaseRequest { token: LeaseToken::random(), ttl: Duration::from_secs(3), refresh_early: false }
}

/// A value, a lease and an invalidation that were stored while the server's clock was an hour ahead.
#[tokio::test]
async fn what_lies_too_far_ahead_is_over() {
    static AHEAD: LazyLock<Script> = LazyLock::new(|| {
        Script::new(
            "for _, field in ipairs(ARGV) do
                redis.call('HINCRBY', KEYS[1], field, 3600000)
            end
            return redis.call('PERSIST', KEYS[1])",
        )
    });
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (store, client) = (open(&url), Client::open(&url).unwrap());
    let ahead = async |key: &str, fields: &[&[u8]]| {
        let key = format!("{{{}:cache:0:{key}}}", client.prefix());
        client.eval::<i64>(&AHEAD, &[&key], fields).await.unwrap()
    };
    // Whoever had this lease is dead.
    assert_eq!(store.get_or_lease("leased", &request()).await.unwrap(), Lookup::Load);
    ahead("leased", &[b"lu"]).await;
    assert_eq!(store.get_or_lease("leased", &request()).await.unwrap(), Lookup::Load);

    for version in [1, 2] {
        assert!(store.put("fresh", fill("old"), version).await.unwrap());
        ahead("fresh", &[b"s", b"h"]).await;
        assert_eq!(store.get("fresh").await.unwrap(), None);
        sleep(Duration::from_millis(500)).await; // it knows the server's clock by then, and reads without a script
    }
    assert_eq!(store.get_or_lease("fresh", &request()).await.unwrap(), Lookup::Load);

    store.invalidate("invalidated", cache::Invalidation::Remove).await.unwrap();
    ahead("invalidated", &[b"u", b"k"]).await;
    assert!(store.put("invalidated", fill("new"), 1).await.unwrap(), "ten seconds, not an hour");
}

/// A key that somebody overwrote, or a field that is no number, costs that key one load, and the others nothing.
#[tokio::test]
async fn foreign_values_are_removed_and_hold_up_no_other() {
    static OVERWRITE: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], 'foreign')"));
    static SPOIL: LazyLock<Script> =
        LazyLock::new(|| Script::new("return redis.call('HSET', KEYS[1], ARGV[1], 'abc') .. ''"));
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (here, there, client) = (cache(&url), cache(&url), Client::open(&url).unwrap());
    sleep(Duration::from_millis(300)).await; // both know the server's clock
    let spoilt = (0..).zip(["", "s", "sl", "h", "g", "d", "dv", "u"]);
    let spoil = async |key: u64, field: &str| {
        let key = format!("{{{}:cache:0:test:{key}}}", client.prefix());
        let script = if field.is_empty() { &*OVERWRITE } else { &*SPOIL };
        client.eval::<String>(script, &[&key], &[field.as_bytes()]).await.unwrap();
    };
    for (key, field) in spoilt.clone() {
        here.put(&key, Some(&1), 1).await;
        spoil(key, field).await;
        here.put(&key, Some(&2), 2).await;
        assert_eq!(there.get(&key).await, Some(2), "{field}");
        spoil(key, field).await;
        here.invalidate(&key).await;
        spoil(key, field).await;
    }
    for key in 100..140 {
        there.put(&key, Some(&key), 1).await;
        assert_eq!(here.get(&key).await, Some(key), "shared all the while");
        sleep(Duration::from_millis(50)).await;
    }
    for (key, field) in spoilt {
        let load = || async { Ok::<_, std::io::Error>(Some(3)) };
        assert_eq!(there.get_or_load(&key, |version| *version, load).await.unwrap(), Some(3), "{field}");
        assert_eq!(here.get(&key).await, Some(3), "{field}");
    }
}

/// The epoch that everybody's keys are named after.
#[tokio::test]
async fn a_foreign_epoch_is_removed() {
    static SPOIL: LazyLock<Script> = LazyLock::new(|| Script::new("redis.call(ARGV[1], KEYS[1], 'foreign') return 1"));
    let Some(server) = RedisServer::shared().await else { return };
    for command in ["RPUSH", "SET"] {
        let url = server.fresh();
        let client = Client::open(&url).unwrap();
        let key = format!("{}:cache:epoch", client.prefix());
        client.eval::<i64>(&SPOIL, &[&key], &[command.as_bytes()]).await.unwrap();
        let (here, there) = (cache(&url), cache(&url));
        let epoch = async || {
            let epoch = client.get(&key).await.ok().flatten()?;
            String::from_utf8(epoch).ok()?.parse::<u64>().ok()
        };
        testkit::eventually!(epoch().await);
        let mut version = 0;
        testkit::eventually!({
            version += 1;
            here.put(&1, Some(&version), version).await;
            there.get(&1).await == Some(version)
        });
    }
}
