//! The contract of a [`Store`], as cases that each adapter has to pass; [`suite!`](crate::suite!) lists them.
//!
//! The cases use names of their own, so that they may share one server, and times short enough to be real.
// This is test code that other crates' tests call; a failed expectation has to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod flight;
pub mod fuzz;
pub mod port;
pub mod reading;
pub mod tagging;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::sleep;

use crate::{Cache, LeaseToken, Policy, Store};

/// The cases of a store's contract, for `testkit::suite!`.
#[macro_export]
macro_rules! suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            port {
                abandoned_lease_is_free, early_refresh_gets_the_lease, expired_lease_is_taken_over,
                expired_value_still_serves, fill_needs_the_lease, generations_rise, invalidation_refuses_the_fill,
                lease_is_for_one, listeners_are_notified, put_after_an_invalidation_stores_nothing,
                put_refuses_older_data, put_refuses_the_fill, renewed_lease_stays, values_expire,
                wait_ends_with_the_lease,
            }
            flight {
                a_thousand_callers_load_once, cancelled_leader_is_replaced, dead_leader_holds_up_for_a_lease,
                invalidated_flight_serves_no_newcomer, lone_cancelled_leader_leaves_no_lease, two_nodes_load_once,
            }
            reading {
                absence_is_remembered, errors_are_shared_and_not_stored, other_schema_is_a_miss, put_is_read_back,
                stale_value_serves_when_loading_fails, writes_of_older_data_lose,
            }
            tagging {
                tag_invalidates_its_keys_and_no_others, tag_refuses_the_fill_and_newcomers, tagged_put_only_removes,
                tags_reach_the_other_node,
            }
            fuzz { no_schedule_leaves_stale_values }
        }
    };
}

/// What a case waits for.
const LEASE: Duration = Duration::from_millis(600);
/// What a slow machine does not lose by accident.
const LONG: Duration = Duration::from_secs(30);

/// A key that no other case and no earlier run has used.
fn fresh_key() -> String {
    format!("suite/{}", LeaseToken::random())
}

fn policy() -> Policy {
    Policy { lease_ttl: LONG, load_timeout: LONG, store_timeout: LONG, early_refresh: 0.0, ..Policy::default() }
}

fn cache(store: &Arc<dyn Store>) -> Cache<String, String> {
    cache_with(store, policy())
}

fn cache_with(store: &Arc<dyn Store>, policy: Policy) -> Cache<String, String> {
    Cache::new("suite", Arc::clone(store), policy)
}

/// A loader's error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken(u64);

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broken {}", self.0)
    }
}

impl std::error::Error for Broken {}

/// Where values come from: one row, with its version and a count of the loads.
#[derive(Debug)]
struct Source {
    version: AtomicU64,
    loads: AtomicUsize,
    delay: Duration,
}

impl Source {
    fn new(delay: Duration) -> Arc<Self> {
        Arc::new(Self { version: AtomicU64::new(1), loads: AtomicUsize::new(0), delay })
    }

    fn loads(&self) -> usize {
        self.loads.load(Ordering::SeqCst)
    }

    /// Waits until somebody loads.
    async fn loading(&self) {
        while self.loads() == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Writes the row and returns its version.
    fn write(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Reads the row and only then is slow: the race that caches lose.
    async fn load(&self) -> Result<Option<String>, Broken> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        let version = self.version.load(Ordering::SeqCst);
        sleep(self.delay).await;
        Ok(Some(version.to_string()))
    }

    async fn read(&self, cache: &Cache<String, String>, key: &str) -> String {
        cache.get_or_load(&key.to_owned(), version_of, || self.load()).await.unwrap().unwrap()
    }
}

#[allow(clippy::ptr_arg, reason = "the cache of strings hands over a &String")]
fn version_of(value: &String) -> u64 {
    value.parse().unwrap()
}
