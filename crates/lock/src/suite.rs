//! The contract of a [`Backend`], as cases that each adapter has to pass; [`suite!`](crate::suite!) lists them.
//!
//! The cases use real time, short leases, and names of their own, so that they may share one server.
// This is test code that other crates' tests call; a failed expectation has to panic.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

pub mod cancelling;
pub mod holding;
pub mod port;
pub mod waiting;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::{Instant, sleep};
use tokio_util::task::TaskTracker;

use crate::{Backend, Locks, Owner, Policy};

/// The cases of a backend's contract, for `testkit::suite!`.
#[macro_export]
macro_rules! suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            port {
                acquire_again_is_the_same_acquisition, expired_owner_frees_nothing, expired_owner_renews_nothing,
                nobody_overtakes_the_queue, one_attempt_leaves_no_waiter, release_is_repeatable,
            }
            holding {
                fences_rise_and_never_two_inside, paused_holder_is_fenced_out_and_notified, renewal_outlasts_the_lease,
                run_returns_the_works_output, unreachable_backend_ends_the_lease,
            }
            cancelling {
                cancelled_acquisitions_leave_nothing, cancelled_releases_leave_nothing, dropped_guard_releases,
            }
            waiting { dead_waiter_is_passed_over, fair_waiters_come_in_order, wait_is_bounded, waiter_is_woken }
        }
    };
}

/// Long enough for a slow machine not to lose the lock by accident.
const TTL: Duration = Duration::from_millis(600);
const LONG: Duration = Duration::from_secs(30);

fn policy() -> Policy {
    Policy {
        ttl: TTL,
        waiter_ttl: TTL,
        poll_interval: Duration::from_millis(100),
        call_timeout: Duration::from_secs(1),
    }
}

fn locks(backend: &Arc<dyn Backend>) -> Locks {
    Locks::new(Arc::clone(backend), TaskTracker::new(), policy())
}

/// A name that no other case and no earlier run has used.
fn fresh_name() -> String {
    format!("suite/{}", Owner::random())
}

/// Waits until `probe` is true, and fails after ten seconds.
async fn eventually(what: &str, mut probe: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !probe().await {
        assert!(Instant::now() < deadline, "not in time: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// What the lock protects: a value that keeps the fence of its last writer.
#[derive(Debug, Default)]
struct Register(Mutex<(i64, &'static str)>);

impl Register {
    /// `UPDATE … WHERE fence <= ?`.
    fn write(&self, fence: i64, value: &'static str) -> bool {
        let mut stored = self.0.lock().unwrap();
        if fence < stored.0 {
            return false;
        }
        *stored = (fence, value);
        true
    }

    fn value(&self) -> &'static str {
        self.0.lock().unwrap().1
    }
}
