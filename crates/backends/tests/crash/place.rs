//! Where processes that may die meet, and what has to be there in the end.

use std::collections::HashMap;
use std::process::Stdio;

use messaging::Track;
use testkit::servers::{Kafka, Nats, Postgres, RabbitMq};
use tokio::process::{Child, Command};

use super::store::{self, Applied, is_marked};
use super::worker::{self, KEYS, bus};

/// A store and a bus, empty.
pub(crate) struct Place {
    store: String,
    bus: String,
    _folder: Option<testkit::TempDir>,
}

impl Place {
    pub(crate) fn embedded() -> Self {
        let folder = testkit::temp_dir();
        let url = |name| testkit::sqlite_url(&folder, name);
        Self { store: url("service.db"), bus: url("bus.db"), _folder: Some(folder) }
    }

    /// `None` where there are no servers.
    pub(crate) async fn on_nats() -> Option<Self> {
        Self::real(Nats::shared().await?.fresh()).await
    }

    /// The same.
    pub(crate) async fn on_kafka() -> Option<Self> {
        Self::real(Kafka::shared().await?.fresh()).await
    }

    /// The same.
    pub(crate) async fn on_rabbitmq() -> Option<Self> {
        Self::real(RabbitMq::shared().await?.fresh()).await
    }

    async fn real(bus: String) -> Option<Self> {
        Some(Self { store: Postgres::shared().await?.database().await, bus, _folder: None })
    }

    pub(crate) fn start(&self, track: Option<Track>, total: i64, trap: &str) -> Child {
        Command::new(std::env::current_exe().unwrap())
            .envs(track.map(|track| ("WORKER_TRACK", format!("{track:?}"))))
            .args(worker::ARGUMENTS)
            .env("WORKER_STORE", &self.store)
            .env("WORKER_BUS", &self.bus)
            .env("WORKER_TOTAL", total.to_string())
            .env("WORKER_TRAP", trap)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    /// Everything was applied once, each key in order (each half of it where a bus with tracks keeps no more), and
    /// nothing is left anywhere.
    pub(crate) async fn verify(&self, total: i64, halves: bool) -> Vec<Applied> {
        let (store, bus) = (store::open(&self.store, None).await, bus(&self.bus, Track::Stable).await);
        let all = store.applied().await;
        let half = |number| halves && is_marked(number);
        let mut keys: HashMap<_, Vec<i64>> = HashMap::new();
        for Applied { kind, key, number, .. } in &all {
            keys.entry((kind.clone(), key.clone(), half(*number))).or_default().push(*number);
        }
        let mut expected: HashMap<_, Vec<i64>> = HashMap::new();
        for number in 1..=total {
            let key = (number.unsigned_abs() % KEYS).to_string();
            for kind in ["counted.v1", "heard.v1"] {
                expected.entry((kind.to_owned(), key.clone(), half(number))).or_default().push(number);
            }
        }
        assert_eq!(keys.len(), expected.len());
        for (key, expected) in expected {
            assert_eq!(keys.get(&key), Some(&expected), "{key:?}");
        }
        let depth = store.outbox().depth().await.unwrap();
        assert_eq!((depth.count, depth.dead), (0, 0));
        assert!(bus.dead_letters(None, 10).await.unwrap().is_empty());
        all
    }
}
