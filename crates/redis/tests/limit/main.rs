//! The contract suite of limiters over Redis and Redis Cluster.
#![allow(clippy::unwrap_used)]

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
