//! Consumers whose handlers find what they need away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::time::Instant;

use super::{Broker, DEADLINE, LONG, event, number, publish};
use super::{
    applying::settled,
    consumer::{Act, Script, dead_letters, policy, start},
};
use crate::Policy;

/// While what handlers need is away one at a time asks for it and nothing is counted, however often members come and go;
/// afterwards failures count from the first one.
pub async fn an_outage_uses_up_no_attempt(broker: &dyn Broker) {
    const EVENTS: u64 = 8;
    let bus = broker.open(LONG).await;
    let (away, failed) = (Arc::new(AtomicBool::new(true)), AtomicBool::new(false));
    let is_away = Arc::clone(&away);
    let script = Script::new(move |event, _| {
        if is_away.load(Ordering::SeqCst) {
            Act::Away
        } else if number(event) == 1 && !failed.swap(true, Ordering::SeqCst) {
            Act::Fail
        } else {
            Act::Apply
        }
    });
    let policy = Policy { max_attempts: 3, ..policy() };
    publish(&bus, &(0..EVENTS).map(|n| event(n, n)).collect::<Vec<_>>()).await;
    for _ in 0..4 {
        let (before, started) = (script.all_tries(), Instant::now());
        let running = start(&broker.open(LONG).await, script.clone(), policy.clone()).await;
        testkit::eventually!(within DEADLINE, script.all_tries() >= before + 12);
        running.stop().await;
        assert_eq!(dead_letters(&bus).await.len(), 0);
        // What was under way when the first one found out, and then pauses of 2.5, 5 and at least 10 ms.
        let most = EVENTS + 3 + u64::try_from(started.elapsed().as_millis()).unwrap() / 10;
        let tries = u64::from(script.all_tries() - before);
        assert!(tries <= most, "{tries} tries where {most} are enough");
    }
    away.store(false, Ordering::SeqCst);
    let running = start(&bus, script.clone(), policy).await;
    settled(&bus).await;
    running.stop().await;
    let mut applied = script.numbers();
    applied.sort_unstable();
    assert_eq!(applied, (0..EVENTS).collect::<Vec<_>>());
    assert!(dead_letters(&bus).await.is_empty());
}
