//! How many allocations something makes.

use std::alloc::System;

use stats_alloc::{Region, StatsAlloc};

/// What warms up whatever is kept from one to the next.
const BEFORE: usize = 50;
const ROUNDS: usize = 20;
const EACH: usize = 10;

/// Allocations of a request, reallocations counted: the fewest on average of a round of ten, because what else the process does at the
/// same time only adds. On a runtime with one thread it hardly depends on the machine.
///
/// The allocator is the test's: `#[global_allocator] static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;`.
pub async fn allocations(allocator: &StatsAlloc<System>, request: impl AsyncFn()) -> usize {
    for _ in 0..BEFORE {
        request().await;
    }
    let mut fewest = usize::MAX;
    for _ in 0..ROUNDS {
        let region = Region::new(allocator);
        for _ in 0..EACH {
            request().await;
        }
        let change = region.change();
        fewest = fewest.min((change.allocations + change.reallocations) / EACH);
    }
    fewest
}

/// Whether a count is within 5 % of what it was.
///
/// # Panics
///
/// It is not, and says what it is: a request that makes fewer lowers the number that is held.
#[track_caller]
pub fn assert_near(what: &str, count: usize, held: usize) {
    assert!(count.abs_diff(held) * 20 <= held, "{what} makes {count} allocations where {held} are held");
}
