//! The contracts of the ports, as tests that every adapter has to pass.
//!
//! An adapter's tests implement [`Broker`] or [`Stores`] and hand the lists of cases to `testkit::suite!`, each in a module
//! of its own:
//!
//! ```text
//! mod bus {
//!     testkit::suite! { messaging::bus_suite, &super::MyBroker::start().await }
//! }
//! ```
//!
//! Each case gets a broker or store of its own, empty. Nothing here knows how an adapter works: cases see only what a
//! port promises, with leases short enough to wait for.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests: a broken contract has to fail them"
)]

pub mod applying;
pub mod bus;
pub mod canary;
pub mod consumer;
pub mod dead_letters;
pub mod death;
pub mod faults;
pub mod inbox;
pub mod kinds;
pub mod order;
pub mod outage;
pub mod outbox;
pub mod renewal;
pub mod tail;
pub mod tasks;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use tokio::time::timeout;
use uuid::Uuid;

use crate::{Bus, Delivery, Difference, Effects, Event, Outbox, Recorded, Resolution, Subscription, Track};

/// A lease that no case waits for.
pub const LONG: Duration = Duration::from_secs(30);
/// A lease that a case waits for.
pub const SHORT: Duration = Duration::from_secs(1);
/// Whatever takes longer than this has gone wrong.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long nothing has to happen before a case believes it.
const QUIET: Duration = Duration::from_millis(150);

/// Where the buses of several processes meet.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Opens a bus as another process would have it: nothing shared but the broker.
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus>;

    /// The same for a process of the stable version.
    async fn open(&self, lease: Duration) -> Arc<dyn Bus> {
        self.open_on(lease, Track::Stable).await
    }

    /// Whether the broker cannot keep this of the contract.
    fn differs(&self, difference: Difference) -> bool;
}

/// A broker on a server of one test's own, which it may break.
#[async_trait]
pub trait Breakable: Broker {
    /// Kills the server with SIGKILL and starts it again on the same data.
    async fn kill_and_restart(&self);
    /// Stops it with SIGSTOP.
    fn pause(&self);
    /// Lets it go on.
    fn resume(&self);
    /// Cuts its clients off: ends their connections, and each new one at once.
    fn cut(&self);
    /// Lets them connect again.
    fn restore(&self);
    /// How long the server has to have been at work before it can be killed.
    fn settles(&self) -> Duration;
}

/// How an adapter's bus is opened.
pub type Opens = for<'a> fn(&'a str, Duration, Track) -> BoxFuture<'a, Arc<dyn Bus>>;

/// A broker by its address: each opening has connections of its own, as another process has.
pub struct At<S = ()> {
    /// The address.
    pub url: String,
    /// The adapter.
    pub opens: Opens,
    /// What the adapter says of itself.
    pub differences: &'static [Difference],
    /// The server, where it is one case's own.
    pub server: S,
}

#[async_trait]
impl<S: Send + Sync> Broker for At<S> {
    async fn open_on(&self, lease: Duration, track: Track) -> Arc<dyn Bus> {
        (self.opens)(&self.url, lease, track).await
    }

    fn differs(&self, difference: Difference) -> bool {
        self.differences.contains(&difference)
    }
}

#[async_trait]
impl<S: testkit::servers::Alone + Send + Sync> Breakable for At<S> {
    async fn kill_and_restart(&self) {
        self.server.kill_and_restart().await;
    }

    fn pause(&self) {
        self.server.pause();
    }

    fn resume(&self) {
        self.server.resume();
    }

    fn cut(&self) {
        self.server.cut();
    }

    fn restore(&self) {
        self.server.restore();
    }

    fn settles(&self) -> Duration {
        self.server.settles()
    }
}

/// A store with an outbox and an inbox, which several processes open.
#[async_trait]
pub trait Stores: Send + Sync {
    /// Opens it as another process would.
    async fn open(&self, lease: Duration) -> Arc<dyn Store>;
}

/// One process' view of the store.
#[async_trait]
pub trait Store: Send + Sync {
    /// The relay's side.
    fn outbox(&self) -> Arc<dyn Outbox>;
    /// Records effects in a transaction and leaves it open.
    async fn begin(&self, effects: &Effects) -> (Recorded, Box<dyn Open>);
    /// Records so many receipts of events that nobody needs to know any more.
    async fn receive_long_ago(&self, count: u32);
    /// How many receipts there are by themselves, not as a part of what they changed.
    async fn receipts(&self) -> u64;
    /// Makes an event that is recorded one that cannot be read.
    async fn spoil(&self, event: &Event);
}

/// An open transaction of a [`Store`].
#[async_trait]
pub trait Open: Send {
    /// Commits.
    async fn commit(self: Box<Self>);
    /// Rolls back.
    async fn roll_back(self: Box<Self>);
}

/// The kind of most events here.
const KIND: &str = "thing.happened.v1";
const KINDS: &[&str] = &[KIND];

fn event(key: impl ToString, number: u64) -> Event {
    Event::new(KIND, "suite", key, clock::system().now(), number).unwrap()
}

fn number(event: &Event) -> u64 {
    event.decode().unwrap()
}

fn numbers(deliveries: &[Delivery]) -> Vec<u64> {
    deliveries.iter().map(|delivery| number(&delivery.event)).collect()
}

async fn join(bus: &Arc<dyn Bus>, group: &str) -> Arc<dyn Subscription> {
    bus.subscribe(group, &[KIND]).await.unwrap()
}

/// Takes at least one delivery.
async fn fetch(subscription: &Arc<dyn Subscription>, max: usize) -> Vec<Delivery> {
    let fetched = timeout(DEADLINE, subscription.fetch(max)).await.expect("a delivery in time").unwrap();
    assert!(
        !fetched.is_empty() && fetched.len() <= max,
        "{} deliveries where at most {max} were asked for",
        fetched.len()
    );
    fetched
}

/// Takes exactly one delivery.
async fn one(subscription: &Arc<dyn Subscription>) -> Delivery {
    fetch(subscription, 1).await.remove(0)
}

/// Takes at least one delivery, whichever of two members is given it.
async fn either(a: &Arc<dyn Subscription>, b: &Arc<dyn Subscription>, max: usize) -> Vec<Delivery> {
    tokio::select! {
        fetched = fetch(a, max) => fetched,
        fetched = fetch(b, max) => fetched,
    }
}

/// Takes and acknowledges until so many are done.
async fn finish(subscription: &Arc<dyn Subscription>, count: usize) -> Vec<Delivery> {
    let mut done = Vec::new();
    while done.len() < count {
        for delivery in fetch(subscription, 32).await {
            subscription.ack(&delivery).await.unwrap();
            done.push(delivery);
        }
    }
    done
}

/// Makes sure that nothing is delivered for a while.
async fn silence(subscription: &Arc<dyn Subscription>) {
    silence_for(QUIET, subscription).await;
}

async fn silence_for(time: Duration, subscription: &Arc<dyn Subscription>) {
    if let Ok(fetched) = timeout(time, subscription.fetch(32)).await {
        panic!("nothing was to be delivered, but {:?}", numbers(&fetched.unwrap()));
    }
}

async fn replay(bus: &Arc<dyn Bus>, event: Uuid) {
    assert_eq!(bus.resolve("group", &[event], Resolution::Replay).await.unwrap(), 1);
}

async fn publish(bus: &Arc<dyn Bus>, events: &[Event]) {
    bus.publish(events).await.unwrap();
}

fn ids(deliveries: &[Delivery]) -> Vec<Uuid> {
    deliveries.iter().map(|delivery| delivery.event.id).collect()
}

/// The contract of [`Bus`](crate::Bus) and its subscriptions, on a [`Broker`](crate::suite::Broker).
#[macro_export]
macro_rules! bus_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            bus {
                events_arrive_as_they_were_published, a_new_group_begins_with_the_oldest,
                each_group_gets_every_event, a_group_gets_its_kinds_only, a_kind_may_be_added_later,
                members_share_the_work, publishing_again_adds_nothing, publishers_at_once_lose_nothing,
                fetch_takes_no_more_than_asked, a_waiting_member_wakes_at_once, a_dropped_fetch_loses_nothing,
                close_ends_a_waiting_fetch, members_that_close_at_once_give_everything_back,
                what_is_done_stays_done, depth_counts_what_is_not_done,
                a_long_backlog_is_worked_off, a_large_event_arrives_whole, many_groups_and_kinds_at_once,
            }
            order {
                a_key_is_in_one_pair_of_hands, a_retry_holds_back_its_key_only, a_retry_waits_as_long_as_asked,
                attempts_are_counted, a_release_does_not_count, the_deliveries_of_the_dead_come_back,
                a_lost_delivery_cannot_be_settled, an_extended_lease_lasts, order_per_key_survives_everything,
            }
            dead_letters {
                a_dead_letter_has_its_reason_and_frees_its_key, a_replay_comes_once_and_to_its_group,
                a_replay_comes_after_what_waits, two_replays_at_once_are_one,
                a_replayed_event_may_be_dead_lettered_again, many_replays_at_once_keep_the_order_of_their_keys,
                a_discarded_dead_letter_is_gone,
            }
            canary {
                marked_events_are_the_canarys, without_a_canary_the_stable_version_has_all,
                without_a_canary_members_share_keys_not_marks, unmarked_events_wait_for_the_stable_version,
                a_canary_that_leaves_hands_over, a_canary_that_drains_holds_nobody_up, a_dead_canary_is_replaced,
                a_marked_dead_letter_is_replayed_to_the_canary, canaries_come_and_go,
            }
        }
    };
}

/// The contract of [`Tail`](crate::Tail), on a [`Broker`](crate::suite::Broker).
#[macro_export]
macro_rules! tail_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            tail {
                every_process_gets_every_event, a_tail_begins_where_it_is_asked_to, a_tail_gets_its_kinds_only,
                a_tail_takes_nothing_from_a_group, a_replay_is_for_its_group, cursors_mean_the_same_everywhere,
                a_dropped_next_loses_nothing, a_tail_is_woken_at_once,
            }
        }
    };
}

/// The contract of the consumer runtime, on a [`Broker`](crate::suite::Broker).
#[macro_export]
macro_rules! consumer_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            consumer {
                failures_are_retried_in_order, a_permanent_failure_is_a_dead_letter_at_once,
                poison_is_given_up_and_can_be_replayed_once, a_panic_is_caught, a_handler_runs_out_of_time,
                a_slow_handler_keeps_its_event, handlers_are_bounded, newcomers_share_peacefully,
                keys_are_in_order_under_random_failures, a_drain_finishes_and_gives_back, a_drain_ends_by_force,
                the_trace_and_the_canary_mark_arrive,
            }
            outage {
                an_outage_uses_up_no_attempt,
            }
            faults {
                members_come_and_go,
            }
            renewal {
                a_renewal_under_way_holds_up_no_settlement,
            }
            kinds {
                an_unknown_kind_is_left_to_others, a_kind_that_is_rolled_back_ends_in_the_dead_letters,
            }
            tasks {
                members_compete_for_tasks, a_task_that_waits_for_its_next_try_delays_no_other,
                a_task_that_was_given_up_is_done_after_its_replay,
            }
        }
    };
}

/// What becomes of consumers that die, on a [`Broker`](crate::suite::Broker) that outlives a process.
#[macro_export]
macro_rules! death_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            death {
                what_kills_its_consumer_is_given_up, what_kills_its_consumers_takes_nobody_along,
            }
            bus {
                what_was_published_outlives_its_publisher,
            }
        }
    };
}

/// What a group at work keeps when its server breaks, on a [`Breakable`](crate::suite::Breakable).
#[macro_export]
macro_rules! faults_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            faults {
                nothing_is_lost_when_the_server_is_killed, nothing_is_lost_when_the_server_sleeps,
                nothing_is_lost_when_the_network_is_cut,
            }
        }
    };
}

/// The contract of [`Outbox`](crate::Outbox) and relay, on [`Stores`](crate::suite::Stores).
#[macro_export]
macro_rules! outbox_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            outbox {
                events_are_stored_with_their_transaction, rows_come_in_order_and_whole, confirmed_rows_are_gone,
                one_relay_at_a_time, a_stale_relay_is_refused, a_released_lease_is_free_at_once,
                a_refused_row_holds_back_its_key_only, a_dead_row_frees_its_key_and_can_be_revived,
                a_dead_row_comes_back_by_its_id, one_row_that_cannot_be_read_holds_up_no_other,
                depth_tells_count_and_age, the_relay_publishes_in_order, a_relay_that_is_not_to_publish_leaves_everything,
                the_relay_outlives_a_broken_bus,
                the_relay_gets_round_a_refused_event, two_relays_publish_everything_once,
                old_receipts_are_forgotten_faster_than_they_come,
            }
        }
    };
}

/// The contract of the inbox, on [`Stores`](crate::suite::Stores) with transactions.
#[macro_export]
macro_rules! inbox_suite {
    ($run:path, $how:tt) => {
        $run! { $how [$crate::suite]
            inbox {
                a_receipt_counts_once, duplicates_at_once_count_once, a_rolled_back_receipt_did_not_count,
                a_duplicate_stores_nothing,
            }
        }
    };
}
