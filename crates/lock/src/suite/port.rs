//! Cases that talk to the port directly.

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{TTL, fresh_name};
use crate::{Acquired, Backend, Owner, Request, Waiting};

fn request(name: &str, waiting: Waiting) -> Request<'_> {
    Request { name, owner: Owner::random(), ttl: TTL, waiter_ttl: TTL, waiting }
}

async fn fence(backend: &Arc<dyn Backend>, request: &Request<'_>) -> Option<i64> {
    match backend.acquire(request).await.unwrap() {
        Acquired::Held { fence } => Some(fence),
        Acquired::Busy { .. } => None,
    }
}

pub async fn acquire_again_is_the_same_acquisition(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let first = request(&name, Waiting::No);
    let fence_of_first = fence(&backend, &first).await.unwrap();
    assert_eq!(fence(&backend, &first).await, Some(fence_of_first), "the answer was lost, the owner asked again");
    assert_eq!(fence(&backend, &request(&name, Waiting::No)).await, None);
    assert!(backend.release(&name, first.owner).await.unwrap());
    let fence_of_second = fence(&backend, &request(&name, Waiting::No)).await.unwrap();
    assert!(fence_of_second > fence_of_first);
}

pub async fn release_is_repeatable(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let first = request(&name, Waiting::No);
    assert!(!backend.release(&name, Owner::random()).await.unwrap(), "nothing to release");
    fence(&backend, &first).await.unwrap();
    assert!(backend.release(&name, first.owner).await.unwrap());
    assert!(!backend.release(&name, first.owner).await.unwrap());
}

pub async fn expired_owner_frees_nothing(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let (late, next) = (request(&name, Waiting::No), request(&name, Waiting::No));
    fence(&backend, &late).await.unwrap();
    sleep(TTL * 2).await;
    fence(&backend, &next).await.expect("the first lease has run out");
    assert!(!backend.release(&name, late.owner).await.unwrap());
    assert_eq!(fence(&backend, &request(&name, Waiting::No)).await, None, "still the second owner's");
    assert!(backend.renew(&name, next.owner, TTL).await.unwrap());
}

pub async fn expired_owner_renews_nothing(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let late = request(&name, Waiting::No);
    fence(&backend, &late).await.unwrap();
    assert!(backend.renew(&name, late.owner, TTL).await.unwrap());
    sleep(TTL * 2).await;
    assert!(!backend.renew(&name, late.owner, TTL).await.unwrap());
    assert!(fence(&backend, &request(&name, Waiting::No)).await.is_some());
    assert!(!backend.renew(&name, late.owner, TTL).await.unwrap());
}

pub async fn one_attempt_leaves_no_waiter(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let holder = request(&name, Waiting::No);
    fence(&backend, &holder).await.unwrap();
    assert_eq!(fence(&backend, &request(&name, Waiting::No)).await, None);
    assert_eq!(fence(&backend, &request(&name, Waiting::Unfair)).await, None);
    backend.release(&name, holder.owner).await.unwrap();
    let next = request(&name, Waiting::Fair);
    assert!(fence(&backend, &next).await.is_some(), "neither of the two is in the queue");
}

pub async fn nobody_overtakes_the_queue(backend: Arc<dyn Backend>) {
    let name = fresh_name();
    let holder = request(&name, Waiting::No);
    let (first, second) = (request(&name, Waiting::Fair), request(&name, Waiting::Fair));
    fence(&backend, &holder).await.unwrap();
    assert_eq!(fence(&backend, &first).await, None);
    assert_eq!(fence(&backend, &second).await, None);
    backend.release(&name, holder.owner).await.unwrap();
    for waiting in [Waiting::No, Waiting::Unfair] {
        assert_eq!(fence(&backend, &request(&name, waiting)).await, None);
    }
    assert_eq!(fence(&backend, &second).await, None);
    assert!(fence(&backend, &first).await.is_some());
    // Leaving the queue is a release too.
    backend.release(&name, second.owner).await.unwrap();
    backend.release(&name, first.owner).await.unwrap();
    let other = request(&name, Waiting::No);
    assert!(fence(&backend, &other).await.is_some());
    tokio::time::timeout(Duration::from_secs(5), backend.release(&name, other.owner)).await.unwrap().unwrap();
}
