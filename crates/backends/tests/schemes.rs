//! What each scheme opens.

use tokio_util::{sync::CancellationToken, task::TaskTracker};

#[tokio::test]
async fn only_known_schemes_open_a_cache() {
    let open = |url| backends::cache(url, &TaskTracker::new(), &CancellationToken::new());
    assert!(open("memory:").is_ok());
    for unknown in ["memory", "memory:x", "memcached://localhost", ""] {
        assert!(open(unknown).unwrap_err().to_string().contains("memory:"));
    }
    assert!(open("redis://localhost?poool=1").is_err());
}

#[test]
fn only_known_schemes_open_locks() {
    let open = |url| backends::lock(url, &TaskTracker::new(), &CancellationToken::new());
    assert!(open("memory:").is_ok());
    for unknown in ["memory", "memory:x", "redis:", "etcd://localhost", ""] {
        assert!(open(unknown).is_err(), "{unknown}");
    }
    assert!(matches!(open("etcd://localhost"), Err(backends::Error::UnknownScheme { .. })));
    assert!(matches!(open("redis://localhost?poool=1"), Err(backends::Error::Open(_))));
}

#[tokio::test]
async fn only_known_schemes_open_a_bus() {
    let open = async |url: String| backends::bus(&messaging::Config::new(url), clock::system()).await;
    let folder = testkit::temp_dir();
    assert!(open(format!("sqlite://{}/bus.db", folder.path().display())).await.is_ok());
    for unknown in ["mqtt://localhost", "bus.db", ""] {
        let error = open(unknown.to_owned()).await.err().unwrap();
        assert!(
            error.to_string().contains("known are sqlite:, nats:, tls:, kafka:, kafka+ssl:, amqp:, amqps:"),
            "{error}"
        );
    }
    assert!(matches!(open("sqlite://".to_owned()).await, Err(backends::Error::Open(_))));
}
