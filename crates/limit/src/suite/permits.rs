//! Taking permits, and getting them back.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::sleep;

use crate::{Decision, Limiter, Quota};

/// No permit comes back while a case runs.
const SLOW: Quota = Quota { burst: 3, refill: Duration::from_mins(1) };

/// A key that no other case and no earlier run has used.
fn fresh_key() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
    format!("suite/{nanos}/{}", NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn allowed(limiter: &dyn Limiter, key: &str, quota: Quota) -> bool {
    limiter.take(key, quota).await.unwrap() == Decision::Allowed
}

async fn use_up(limiter: &dyn Limiter, key: &str, quota: Quota) {
    for _ in 0..quota.burst {
        assert!(allowed(limiter, key, quota).await);
    }
}

/// As many as the quota says, and the answer says when there is one more.
pub async fn a_burst_is_allowed_and_no_more(limiter: &dyn Limiter) {
    let key = fresh_key();
    use_up(limiter, &key, SLOW).await;
    for _ in 0..5 {
        let Decision::Refused { retry_after } = limiter.take(&key, SLOW).await.unwrap() else {
            panic!("a fourth permit");
        };
        assert!(retry_after <= SLOW.refill && retry_after > SLOW.refill / 2, "{retry_after:?}");
    }
}

/// Those who ask at the same time are counted one by one.
pub async fn at_once_no_more_than_the_burst(limiter: &dyn Limiter) {
    let key = fresh_key();
    let take = || allowed(limiter, &key, SLOW);
    let taken: [bool; 5] = tokio::join!(take(), take(), take(), take(), take()).into();
    assert_eq!(taken.into_iter().filter(|allowed| *allowed).count(), 3);
}

/// What one key has used up is there for another.
pub async fn keys_are_counted_apart(limiter: &dyn Limiter) {
    use_up(limiter, &fresh_key(), SLOW).await;
    assert!(allowed(limiter, &fresh_key(), SLOW).await);
}

/// When the answer said so, there is one.
pub async fn permits_come_back_one_by_one(limiter: &dyn Limiter) {
    let quota = Quota { burst: 2, refill: Duration::from_secs(1) };
    let key = fresh_key();
    use_up(limiter, &key, quota).await;
    let retry_after = loop {
        // A machine that is stopped for a second has a permit back.
        if let Decision::Refused { retry_after } = limiter.take(&key, quota).await.unwrap() {
            break retry_after;
        }
    };
    sleep(retry_after).await;
    assert!(allowed(limiter, &key, quota).await);
}

/// A permit that was given back can be taken, and there are never more than all.
pub async fn what_is_given_back_is_there(limiter: &dyn Limiter) {
    let key = fresh_key();
    use_up(limiter, &key, SLOW).await;
    limiter.give_back(&key, SLOW).await.unwrap();
    assert!(allowed(limiter, &key, SLOW).await);
    assert!(!allowed(limiter, &key, SLOW).await);
    // Nobody has more than all of them.
    for _ in 0..2 * SLOW.burst {
        limiter.give_back(&key, SLOW).await.unwrap();
    }
    use_up(limiter, &key, SLOW).await;
    assert!(!allowed(limiter, &key, SLOW).await);
}

/// All permits are there.
pub async fn a_reset_key_is_as_new(limiter: &dyn Limiter) {
    let key = fresh_key();
    use_up(limiter, &key, SLOW).await;
    limiter.reset(&key).await.unwrap();
    use_up(limiter, &key, SLOW).await;
    assert!(!allowed(limiter, &key, SLOW).await);
}
