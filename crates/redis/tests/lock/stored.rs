//! What is stored for a lock: how long it is kept, and what becomes of it under a wrong clock or in foreign hands.

use std::{sync::LazyLock, time::Duration};

use lock::{Acquired, Owner, Request, Waiting};
use redis::{Client, Script};
use testkit::servers::Redis as RedisServer;

use crate::open;

fn request(waiting: Waiting) -> Request<'static> {
    Request {
        name: "one",
        owner: Owner::random(),
        ttl: Duration::from_secs(5),
        waiter_ttl: Duration::from_secs(3),
        waiting,
    }
}

/// A lease and a wait that were stored while the server's clock was an hour ahead.
#[tokio::test]
async fn what_lies_too_far_ahead_is_over() {
    static AHEAD: LazyLock<Script> = LazyLock::new(|| {
        Script::new(
            "local ahead = redis.call('TIME')[1] * 1000 + 3600000
            redis.call('HSET', KEYS[1], 'u', string.format('%.0f', ahead))
            for _, waiter in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
                redis.call('HSET', KEYS[3], waiter, string.format('%.0f', ahead) .. ' gone')
            end
            return redis.call('ZCARD', KEYS[2])",
        )
    });
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (backend, client) = (open(&url), Client::open(&url).unwrap());
    let Acquired::Held { fence } = backend.acquire(&request(Waiting::No)).await.unwrap() else { panic!("it is free") };
    assert!(matches!(backend.acquire(&request(Waiting::Fair)).await.unwrap(), Acquired::Busy { .. }));
    let key = format!("{{{}:lock:one}}", client.prefix());
    let keys = [key.as_str(), &format!("{key}:line"), &format!("{key}:waiters")];
    assert_eq!(client.eval::<i64>(&AHEAD, &keys, &[]).await.unwrap(), 1);
    let next = backend.acquire(&request(Waiting::No)).await.unwrap();
    assert!(matches!(next, Acquired::Held { fence: higher } if higher > fence), "{next:?}");
}

/// With many names, an hour would fill the memory.
#[tokio::test]
async fn what_is_released_is_forgotten_within_a_minute() {
    static PTTL: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('PTTL', KEYS[1])"));
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (backend, client) = (open(&url), Client::open(&url).unwrap());
    let key = format!("{{{}:lock:one}}", client.prefix());
    let ttl = async || client.eval::<i64>(&PTTL, &[&key], &[]).await.unwrap();
    let first = Request { ttl: Duration::from_mins(2), ..request(Waiting::No) };
    assert!(matches!(backend.acquire(&first).await.unwrap(), Acquired::Held { .. }));
    assert!(ttl().await > 120_000, "longer than the lease");
    assert!(backend.renew("one", first.owner, Duration::from_secs(5)).await.unwrap());
    assert!((1..=60_000).contains(&ttl().await));
    assert!(backend.renew("one", first.owner, Duration::from_mins(2)).await.unwrap());
    assert!(backend.release("one", first.owner).await.unwrap());
    assert!((1..=60_000).contains(&ttl().await));
}

/// Somebody wrote under the names of a lock, or into it: that costs what was there, and no more.
#[tokio::test]
async fn foreign_values_are_removed() {
    static OVERWRITE: LazyLock<Script> = LazyLock::new(|| Script::new("return redis.call('SET', KEYS[1], 'foreign')"));
    static SPOIL: LazyLock<Script> = LazyLock::new(|| {
        Script::new("return redis.call('HSET', KEYS[1], 'o', ARGV[1], 'u', 'soon', 'f', 'inf', 't', 'long')")
    });
    let Some(server) = RedisServer::shared().await else { return };
    let url = server.fresh();
    let (backend, client) = (open(&url), Client::open(&url).unwrap());
    let key = format!("{{{}:lock:one}}", client.prefix());
    let overwrite = async |suffix| {
        client.eval::<String>(&OVERWRITE, &[&format!("{key}{suffix}")], &[]).await.unwrap();
    };
    let mut last = 0;
    for suffix in ["", ":line", ":others", ":waiters", ":gone"] {
        overwrite(suffix).await;
        let owner = request(Waiting::No);
        let held = backend.acquire(&owner).await.unwrap();
        let Acquired::Held { fence } = held else { panic!("{suffix}: {held:?}") };
        assert!(fence > last);
        last = fence;
        for waiting in [Waiting::Fair, Waiting::Unfair] {
            overwrite(suffix).await;
            if suffix.is_empty() {
                assert!(!backend.renew("one", owner.owner, owner.ttl).await.unwrap(), "nobody knows who had it");
                break;
            }
            let waiter = request(waiting);
            assert!(matches!(backend.acquire(&waiter).await.unwrap(), Acquired::Busy { .. }), "{suffix}");
            overwrite(suffix).await;
            assert!(!backend.release("one", waiter.owner).await.unwrap());
        }
        overwrite(suffix).await;
        assert_eq!(backend.release("one", owner.owner).await.unwrap(), !suffix.is_empty(), "{suffix}");
    }
    client.eval::<i64>(&SPOIL, &[&key], &[b"somebody"]).await.unwrap();
    let held = backend.acquire(&request(Waiting::No)).await.unwrap();
    assert!(matches!(held, Acquired::Held { fence } if fence > last), "{held:?}");
}
