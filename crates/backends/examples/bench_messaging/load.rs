//! What is sent, how it is paced, and how durations are summed up.

use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use messaging::Event;

pub(crate) const EVENTS: usize = 20_000;
const KEYS: usize = 500;
/// Events recorded or published at the same time while they are paced.
const WRITERS: usize = 8;
const PACED: Duration = Duration::from_secs(5);

pub(crate) const KIND: &str = "order.placed.v1";

pub(crate) fn event(number: usize) -> Event {
    let data =
        serde_json::json!({ "order_id": number, "total": {"amount": 1299, "currency": "EUR"}, "items": vec!["x"; 20] });
    Event::new(KIND, "bench", number % KEYS, clock::system().now(), data).unwrap()
}

/// How long ago an event was made.
pub(crate) fn age(event: &Event) -> Duration {
    Duration::try_from(clock::system().now() - event.time).unwrap_or_default()
}

/// How many a second.
pub(crate) fn rate(count: usize, took: Duration) -> f64 {
    f64::from(u32::try_from(count).unwrap()) / took.as_secs_f64()
}

/// Sends at so many a second, whether earlier ones have come to their end or not; returns how many.
pub(crate) async fn paced(per_second: f64, send: impl AsyncFn(usize)) -> usize {
    let (mut number, started) = (0, Instant::now());
    while started.elapsed() < PACED {
        let due = started.elapsed().as_secs_f64() * per_second;
        let now = std::iter::from_fn(|| {
            (f64::from(u32::try_from(number).unwrap()) < due).then(|| {
                number += 1;
                number
            })
        });
        stream::iter(now).for_each_concurrent(WRITERS, |number| send(number)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    number
}

/// The median and the 99th percentile.
#[derive(Clone, Copy)]
pub(crate) struct Delays {
    pub(crate) median: Duration,
    pub(crate) p99: Duration,
}

impl Delays {
    pub(crate) fn of(mut all: Vec<Duration>) -> Self {
        all.sort_unstable();
        let at = |share: usize| all[(all.len() - 1) * share / 100];
        Self { median: at(50), p99: at(99) }
    }
}
