//! MongoDB without transactions: a command that is interrupted at any of its awaits leaves nothing half done, whether
//! it is tried again or not.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use messaging::Effects;
use mongodb::bson::{Document, doc};
use order::{
    app::ports::{Idempotent, Placed, Saved},
    domain::{order::Order, status::Reason, values::RestockQuantity},
};

use crate::fixture::{OrderSpec, START, Stores, at, emits, key, order, user};

/// Polls a future so many times at most; `None` where it did not come to its end.
pub async fn interrupt<T>(work: impl Future<Output = T>, polls: usize) -> Option<T> {
    let (mut work, mut left) = (pin!(work), polls);
    poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        work.as_mut().poll(context).map(Some)
    })
    .await
}

/// What was sent before the interruption still arrives.
pub async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

/// One store that leaves interrupted operations alone, and one that recovers them at once.
async fn stores() -> Option<(Stores, Stores)> {
    let url = testkit::servers::MongoDb::shared().await?.database();
    Some((crate::on_mongodb(&url, Duration::from_mins(1)).await, crate::on_mongodb(&url, Duration::ZERO).await))
}

fn of(n: usize, lines: &[(order::domain::ids::ProductId, i64)]) -> Order {
    order(&OrderSpec { user: user(n as u128), key: "k", lines, at: START })
}

/// Interrupts at each poll until three runs in a row come to their end; returns how many were interrupted.
async fn at_every_await(mut one: impl AsyncFnMut(usize) -> bool) -> usize {
    let (mut complete, mut polls) = (0, 0);
    while complete < 3 {
        complete = if one(polls).await { complete + 1 } else { 0 };
        polls += 1;
        assert!(polls < 2000, "it never ends");
    }
    polls - complete
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placing_again_after_an_interruption_places_once() {
    let Some((stores, recovering)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let interrupted = at_every_await(async |polls| {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let complete = interrupt(stores.place(&order), polls).await.is_some();
        let again = stores.place(&order).await;
        assert!(matches!(again, Placed::Stored | Placed::Existing(_)), "{again:?}");
        assert_eq!(stores.stored(&order).await.as_ref(), Some(&order));
        complete
    })
    .await;
    assert!(interrupted > 5, "{interrupted}");
    settle().await;
    recovering.orders.due(START, 1).await.unwrap();
    let placed = i64::try_from(interrupted).unwrap() + 3;
    assert_eq!((stores.available(a).await, stores.available(b).await), (100_000 - placed, 100_000 - 2 * placed));
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.violations, totals.outbox), (vec![], placed.unsigned_abs()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_placing_is_aborted_or_completed() {
    let Some((stores, recovering)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let (mut placed, mut aborted) = (0_i64, 0);
    at_every_await(async |polls| {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let complete = interrupt(stores.place(&order), polls).await.is_some();
        settle().await;
        recovering.orders.due(START, 1).await.unwrap();
        match stores.stored(&order).await {
            Some(_) => placed += 1,
            None => aborted += 1,
        }
        complete
    })
    .await;
    assert!(aborted > 5, "{aborted}");
    assert_eq!((stores.available(a).await, stores.available(b).await), (100_000 - placed, 100_000 - 2 * placed));
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.violations, totals.outbox), (vec![], placed.unsigned_abs()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_is_released_once_after_an_interruption() {
    let Some((stores, recovering)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let mut halfway = 0;
    at_every_await(async |polls| {
        let mut order = of(polls, &[(a, 1), (b, 2)]);
        stores.placed(&order).await;
        let _ = order.declined(None, Reason::PaymentDeclined, at(1)).unwrap();
        let save = || stores.orders.save(&order, 1, true, emits(&order, "order.rejected.v1"));
        let complete = interrupt(save(), polls).await.is_some();
        settle().await;
        halfway += usize::from(stores.available(b).await != 100_000);
        let again = save().await.unwrap();
        assert!(matches!(again, Saved::Stored | Saved::Stale), "{again:?}");
        recovering.orders.due(START, 1).await.unwrap();
        assert_eq!((stores.available(a).await, stores.available(b).await), (100_000, 100_000), "{polls} polls");
        assert_eq!(stores.stored(&order).await.as_ref(), Some(&order));
        complete
    })
    .await;
    assert!(halfway > 0, "no interruption fell between the order and its stock");
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restock_counts_once_after_an_interruption() {
    let Some((stores, _)) = stores().await else { return };
    let a = stores.stocked("a", 0).await;
    let interrupted = at_every_await(async |polls| {
        let (pieces, key) = (RestockQuantity::parse(1).unwrap(), key(&polls.to_string(), 1));
        let complete = interrupt(stores.products.restock(a, pieces, &key), polls).await.is_some();
        let again = stores.products.restock(a, pieces, &key).await.unwrap();
        assert!(matches!(again, Idempotent::Done(_) | Idempotent::Replayed(_)), "{again:?}");
        complete
    })
    .await;
    assert!(interrupted > 1, "{interrupted}");
    settle().await;
    assert_eq!(stores.available(a).await, i64::try_from(interrupted).unwrap() + 3);
}

/// Suspends a placing at each of its awaits and resumes it after `meanwhile` has acted on the order: each time the
/// stock is taken once, and `after` checks that what `meanwhile` saw is still true.
async fn suspended<T>(stores: &Stores, meanwhile: impl AsyncFn(&Order) -> T, after: impl AsyncFn(&Order, T, Placed)) {
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let (mut placed, mut polls, mut complete) = (0_i64, 0, 0);
    while complete < 3 {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let mut place = pin!(stores.place(&order));
        if interrupt(place.as_mut(), polls).await.is_some() {
            complete += 1;
        } else {
            complete = 0;
            settle().await;
            let seen = meanwhile(&order).await;
            let outcome = place.await;
            after(&order, seen, outcome).await;
        }
        placed += i64::from(stores.stored(&order).await.is_some());
        polls += 1;
        let expected = (100_000 - placed, 100_000 - 2 * placed);
        assert_eq!((stores.available(a).await, stores.available(b).await), expected, "after {polls} polls");
    }
    assert!(polls - complete > 5, "suspended {} times", polls - complete);
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placing_that_was_aborted_meanwhile_takes_nothing_later() {
    let Some((stores, recovering)) = stores().await else { return };
    let recover = async |_: &Order| drop(recovering.orders.due(START, 1).await.unwrap());
    // It goes on with what it knew, and then from the beginning.
    suspended(&stores, recover, async |_, (), placed| {
        assert!(matches!(placed, Placed::Stored | Placed::Existing(_)), "{placed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placing_that_another_process_completed_takes_nothing_more() {
    let Some((stores, _)) = stores().await else { return };
    suspended(
        &stores,
        async |order| drop(stores.place(order).await),
        async |_, (), placed| {
            assert!(matches!(placed, Placed::Stored | Placed::Existing(_)), "{placed:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_placing_whose_account_closed_meanwhile_places_nothing_later() {
    let Some((stores, _)) = stores().await else { return };
    let close = async |order: &Order| {
        stores.accounts.close(order.user, START).await.unwrap();
        stores.stored(order).await
    };
    suspended(&stores, close, async |order, seen, placed| {
        assert_eq!(stores.stored(order).await, seen, "{placed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_handled_twice_changes_and_emits_once() {
    let Some((stores, _)) = stores().await else { return };
    let a = stores.stocked("a", 9).await;
    let order = of(1, &[(a, 1)]);
    stores.placed(&order).await;
    let receipt = crate::fixture::receipt(1);
    let mut next = order.clone();
    let _ = next.declined(None, Reason::PaymentDeclined, at(1)).unwrap();
    let effects = Effects { receipt: Some(receipt), ..emits(&next, "order.rejected.v1") };
    assert_eq!(stores.orders.save(&next, 1, true, effects.clone()).await.unwrap(), Saved::Stored);
    assert_eq!(stores.orders.save(&next, 1, true, effects).await.unwrap(), Saved::Duplicate);
    assert_eq!((stores.available(a).await, stores.emitted().await.len()), (9, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_that_cannot_be_recovered_holds_up_no_other() {
    let Some(server) = testkit::servers::MongoDb::shared().await else { return };
    let url = server.database();
    let stores = crate::on_mongodb(&url, Duration::from_mins(1)).await;
    let products = mongodb::connect(&url, "contract").await.unwrap().collection::<Document>("products");
    let (a, b) = (stores.stocked("a", 5).await, stores.stocked("b", 5).await);
    let mut orders = [of(1, &[(a, 1)]), of(2, &[(b, 1)])];
    for order in &orders {
        stores.placed(order).await;
    }
    // Without its product an order's stock cannot be released, and the order stays in the stage.
    products.delete_one(doc! { "sku": "a" }).await.unwrap();
    let kept = products.find_one_and_delete(doc! { "sku": "b" }).await.unwrap().unwrap();
    for order in &mut orders {
        let _ = order.declined(None, Reason::PaymentDeclined, at(1)).unwrap();
        let saved = stores.orders.save(order, 1, true, Effects::default()).await.unwrap();
        assert_eq!(saved, Saved::Stored);
    }
    products.insert_one(kept).await.unwrap();
    assert_eq!(stores.available(b).await, 4);
    let recovering = crate::on_mongodb(&url, Duration::ZERO).await;
    recovering.orders.due(START, 1).await.unwrap();
    assert_eq!(stores.available(b).await, 5);
}
