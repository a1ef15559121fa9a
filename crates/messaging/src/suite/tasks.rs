//! Tasks: work for whoever is free, in no order.

use std::time::Duration;

use futures::future::join_all;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::{
    Broker, DEADLINE, KIND, LONG,
    applying::settled,
    consumer::{Act, Script, dead_letters, policy, start},
    number, publish, replay,
};
use crate::{Cause, Event, Policy};

/// A task of its own.
fn task(number: u64) -> Event {
    Event::task(KIND, "suite", Uuid::now_v7(), clock::system().now(), number).unwrap()
}

/// Each of several members does some of the tasks, and together they do all.
pub async fn members_compete_for_tasks(broker: &dyn Broker) {
    const BATCH: u64 = 16;
    let buses = [broker.open(LONG).await, broker.open(LONG).await, broker.open(LONG).await];
    let scripts = [(); 3].map(|()| Script::new(|_, _| Act::Sleep(Duration::from_millis(2))));
    let policy = Policy { max_in_flight: 4, ..policy() };
    let running =
        join_all(buses.iter().zip(&scripts).map(|(bus, script)| start(bus, script.clone(), policy.clone()))).await;
    // Until the last of them has its share of the group.
    let mut tasks = 0;
    testkit::eventually!(within DEADLINE, {
        publish(&buses[0], &(tasks..tasks + BATCH).map(task).collect::<Vec<_>>()).await;
        tasks += BATCH;
        sleep(Duration::from_millis(50)).await;
        scripts.iter().all(|script| !script.numbers().is_empty())
    });
    settled(&buses[0]).await;
    for consumer in running {
        consumer.stop().await;
    }
    let mut done: Vec<u64> = scripts.iter().flat_map(|script| script.numbers()).collect();
    done.sort_unstable();
    // While members come, one may be given what another had not settled yet.
    done.dedup();
    assert_eq!(done, (0..tasks).collect::<Vec<_>>());
}

/// A task that failed waits out its pause; all that were published after it are done meanwhile.
pub async fn a_task_that_waits_for_its_next_try_delays_no_other(broker: &dyn Broker) {
    const TASKS: u64 = 32;
    // With jitter, half of it at least.
    const PAUSE: Duration = Duration::from_secs(4);
    let bus = broker.open(LONG).await;
    let script = Script::new(|event, tried| if number(event) == 0 && tried == 1 { Act::Fail } else { Act::Apply });
    let policy = Policy { first_backoff: PAUSE, max_backoff: PAUSE, ..Policy::tasks() };
    let running = start(&bus, script.clone(), policy).await;
    let published = Instant::now();
    publish(&bus, &(0..TASKS).map(task).collect::<Vec<_>>()).await;
    settled(&bus).await;
    running.stop().await;
    assert!(published.elapsed() >= PAUSE / 2, "tried again after {:?}", published.elapsed());
    let mut done = script.numbers();
    assert_eq!((done.len() as u64, done.last()), (TASKS, Some(&0)), "{done:?}");
    done.sort_unstable();
    assert_eq!(done, (0..TASKS).collect::<Vec<_>>());
}

/// A task that cannot be done is put aside with its cause, and done once it is given back.
pub async fn a_task_that_was_given_up_is_done_after_its_replay(broker: &dyn Broker) {
    let bus = broker.open(LONG).await;
    let script = Script::new(|_, tried| if tried == 1 { Act::Refuse } else { Act::Apply });
    let running = start(&bus, script.clone(), Policy::tasks()).await;
    let task = task(1);
    publish(&bus, std::slice::from_ref(&task)).await;
    settled(&bus).await;
    let given_up = dead_letters(&bus).await;
    assert_eq!((given_up.len(), given_up[0].reason.cause), (1, Cause::Permanent));
    assert_eq!(given_up[0].reason.detail, "never");
    replay(&bus, task.id).await;
    settled(&bus).await;
    // The log knows it: recorded again, it is the same task.
    publish(&bus, &[task]).await;
    settled(&bus).await;
    running.stop().await;
    assert_eq!(script.numbers(), [1]);
}
