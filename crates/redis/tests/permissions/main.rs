//! The contract suites as a user who may do what the README says and nothing else, and what is said where that is less.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::{
    fmt::Debug,
    sync::{Arc, Mutex},
};

use cache::{Invalidation, Store};
use lock::{Backend, Locks, Policy};
use redis::{CacheStore, Limiter, LockBackend};
use testkit::servers::Redis as RedisServer;
use tokio::sync::OnceCell;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

const README: &str = include_str!("../../README.md");

/// An address, under new names, of a user with the README's permissions but for one of them.
async fn address(without: &str) -> Option<String> {
    static SERVER: OnceCell<Option<RedisServer>> = OnceCell::const_new();
    let server = SERVER.get_or_init(RedisServer::alone).await.as_ref()?;
    let url = server.fresh();
    let (server_url, prefix) = url.split_once("?prefix=").unwrap();
    let (_, rules) = README.split_once("ACL SETUSER shop ").unwrap();
    let (rules, _) = rules.split_once("```").unwrap();
    let rules = rules.split_whitespace().filter(|rule| *rule != without).collect::<Vec<_>>().join(" ");
    let rules = rules.replace("shop:", &format!("{prefix}:"));
    let command: Vec<&str> = ["ACL", "SETUSER", prefix].into_iter().chain(rules.split(' ')).collect();
    assert_eq!(server.control(&command).trim(), "OK");
    let host = server_url.trim_start_matches("redis://").trim_end_matches('/');
    Some(format!("redis://{prefix}:PASSWORD@{host}?prefix={prefix}"))
}

fn store(url: &str) -> Arc<dyn Store> {
    Arc::new(CacheStore::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap())
}

fn backend(url: &str) -> Arc<dyn Backend> {
    Arc::new(LockBackend::open(url, &TaskTracker::new(), &CancellationToken::new()).unwrap())
}

mod cached {
    use super::{address, store};

    testkit::suite! { cache::suite, match address("").await {
        Some(url) => store(&url),
        None => return,
    } }
}

mod locked {
    use super::{address, backend};

    testkit::suite! { lock::suite, match address("").await {
        Some(url) => {
            let backend = backend(&url);
            // Its connections are this runtime's: those of one that a case freezes would freeze with it.
            tokio::time::sleep(std::time::Duration::from_millis(500)).await;
            backend
        }
        None => return,
    } }
}

mod limited {
    testkit::suite! { limit::suite, &super::Limiter::open(&match super::address("").await {
        Some(url) => url,
        None => return,
    }).unwrap() }
}

/// What a script calls is refused by Redis 7.0 in words of its own, without the code.
fn is_refusal(said: &str) -> bool {
    said.contains("NoPerm") || said.contains("The user executing the script can't")
}

fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source()).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test]
async fn a_command_that_is_not_permitted_is_said() {
    for command in ["+time", "+evalsha"] {
        let Some(url) = address(command).await else { return };
        let locks = Locks::new(backend(&url), TaskTracker::new(), Policy::default());
        let said = chain(&locks.check("one").await.unwrap_err());
        assert!(is_refusal(&said), "{command}: {said}");
        let said = chain(&*store(&url).invalidate("one", Invalidation::Remove).await.unwrap_err());
        assert!(is_refusal(&said), "{command}: {said}");
    }
}

/// Keeps the causes in warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<String>>>);

impl Visit for Warnings {
    fn record_debug(&mut self, _: &Field, _: &dyn Debug) {}

    fn record_error(&mut self, _: &Field, error: &(dyn std::error::Error + 'static)) {
        self.0.lock().unwrap().push(chain(error));
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

#[tokio::test]
async fn channels_that_are_not_permitted_are_said() {
    let Some(url) = address("&shop:*").await else { return };
    let warnings = Warnings::default();
    let _guard = tracing::subscriber::set_default(warnings.clone());
    let said = chain(&*store(&url).invalidate("one", Invalidation::Remove).await.unwrap_err());
    assert!(is_refusal(&said), "{said}");
    let store = store(&url);
    let is_said = || warnings.0.lock().unwrap().iter().any(|cause| is_refusal(cause));
    testkit::eventually!(is_said());
    drop(store);
}
