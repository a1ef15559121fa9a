//! MongoDB without transactions: a command that is cut off at any of its steps leaves nothing half done, whether it
//! is tried again or not.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use messaging::Effects;
use order::{
    app::ports::{Keyed, Placed, Saved},
    domain::{order::Order, status::Reason, values::Delivery},
};

use crate::fixture::{START, Stores, Wanted, after, key, order, tells, user};

/// Polls a future so many times and drops it; says whether it came to its end.
async fn cut<T>(work: impl Future<Output = T>, polls: usize) -> Option<T> {
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

/// What was sent before the cut still arrives.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(30)).await;
}

/// One store that waits for those who were cut off, and one that takes them for dead at once.
async fn stores() -> Option<(Stores, Stores)> {
    let url = testkit::servers::MongoDb::shared().await?.database();
    Some((crate::on_mongodb(&url, Duration::from_mins(1)).await, crate::on_mongodb(&url, Duration::ZERO).await))
}

fn of(n: usize, lines: &[(order::domain::ids::ProductId, i64)]) -> Order {
    order(&Wanted { user: user(n as u128), key: "k", lines, at: START })
}

/// Cuts at each poll until one run comes to its end uncut three times; returns how many were cut.
async fn at_every_step(mut one: impl AsyncFnMut(usize) -> bool) -> usize {
    let (mut whole, mut polls) = (0, 0);
    while whole < 3 {
        whole = if one(polls).await { whole + 1 } else { 0 };
        polls += 1;
        assert!(polls < 2000, "it never ends");
    }
    polls - whole
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn placing_again_after_a_cut_places_once() {
    let Some((stores, tending)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let cuts = at_every_step(async |polls| {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let whole = cut(stores.place(&order), polls).await.is_some();
        let again = stores.place(&order).await;
        assert!(matches!(again, Placed::Stored | Placed::Existing(_)), "{again:?}");
        assert_eq!(stores.stored(&order).await.as_ref(), Some(&order));
        whole
    })
    .await;
    assert!(cuts > 5, "{cuts}");
    settle().await;
    tending.orders.due(START, 1).await.unwrap();
    let placed = i64::try_from(cuts).unwrap() + 3;
    assert_eq!((stores.available(a).await, stores.available(b).await), (100_000 - placed, 100_000 - 2 * placed));
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.violations, totals.outbox), (vec![], placed.unsigned_abs()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_cut_off_while_placing_is_called_off_or_placed() {
    let Some((stores, tending)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let (mut placed, mut gone) = (0_i64, 0);
    at_every_step(async |polls| {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let whole = cut(stores.place(&order), polls).await.is_some();
        settle().await;
        tending.orders.due(START, 1).await.unwrap();
        match stores.stored(&order).await {
            Some(_) => placed += 1,
            None => gone += 1,
        }
        whole
    })
    .await;
    assert!(gone > 5, "{gone}");
    assert_eq!((stores.available(a).await, stores.available(b).await), (100_000 - placed, 100_000 - 2 * placed));
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.violations, totals.outbox), (vec![], placed.unsigned_abs()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stock_comes_back_once_after_a_cut() {
    let Some((stores, tending)) = stores().await else { return };
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let mut halfway = 0;
    at_every_step(async |polls| {
        let mut order = of(polls, &[(a, 1), (b, 2)]);
        stores.placed(&order).await;
        let _ = order.declined(None, Reason::PaymentDeclined, after(1)).unwrap();
        let save = || stores.orders.save(&order, 1, true, tells(&order, "order.rejected.v1"));
        let whole = cut(save(), polls).await.is_some();
        settle().await;
        halfway += usize::from(stores.available(b).await != 100_000);
        let again = save().await.unwrap();
        assert!(matches!(again, Saved::Stored | Saved::Conflict), "{again:?}");
        tending.orders.due(START, 1).await.unwrap();
        assert_eq!((stores.available(a).await, stores.available(b).await), (100_000, 100_000), "{polls} polls");
        assert_eq!(stores.stored(&order).await.as_ref(), Some(&order));
        whole
    })
    .await;
    assert!(halfway > 0, "no cut fell between the order and its stock");
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_counts_once_after_a_cut() {
    let Some((stores, _)) = stores().await else { return };
    let a = stores.stocked("a", 0).await;
    let deliveries = at_every_step(async |polls| {
        let (pieces, key) = (Delivery::parse(1).unwrap(), key(&polls.to_string(), 1));
        let whole = cut(stores.products.restock(a, pieces, &key), polls).await.is_some();
        let again = stores.products.restock(a, pieces, &key).await.unwrap();
        assert!(matches!(again, Keyed::Done(_) | Keyed::Replayed(_)), "{again:?}");
        whole
    })
    .await;
    settle().await;
    assert_eq!(stores.available(a).await, i64::try_from(deliveries).unwrap() + 3);
}

/// Whoever sleeps while placing, at any step, finds that meanwhile something was done about the order: each time its
/// pieces are taken once, and what `meanwhile` saw stays true.
async fn asleep<T>(stores: &Stores, meanwhile: impl AsyncFn(&Order) -> T, awake: impl AsyncFn(&Order, T, Placed)) {
    let (a, b) = (stores.stocked("a", 100_000).await, stores.stocked("b", 100_000).await);
    let (mut placed, mut polls, mut whole) = (0_i64, 0, 0);
    while whole < 3 {
        let order = of(polls, &[(a, 1), (b, 2)]);
        let mut place = pin!(stores.place(&order));
        if cut(place.as_mut(), polls).await.is_some() {
            whole += 1;
        } else {
            whole = 0;
            settle().await;
            let seen = meanwhile(&order).await;
            let outcome = place.await;
            awake(&order, seen, outcome).await;
        }
        placed += i64::from(stores.stored(&order).await.is_some());
        polls += 1;
        let expected = (100_000 - placed, 100_000 - 2 * placed);
        assert_eq!((stores.available(a).await, stores.available(b).await), expected, "after {polls} polls");
    }
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sleeps_until_its_order_is_called_off_takes_nothing_later() {
    let Some((stores, tending)) = stores().await else { return };
    let call_off = async |_: &Order| drop(tending.orders.due(START, 1).await.unwrap());
    // It goes on with what it knew, and then from the beginning.
    asleep(&stores, call_off, async |_, (), placed| {
        assert!(matches!(placed, Placed::Stored | Placed::Existing(_)), "{placed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sleeps_while_another_places_its_order_takes_nothing_more() {
    let Some((stores, _)) = stores().await else { return };
    asleep(
        &stores,
        async |order| drop(stores.place(order).await),
        async |_, (), placed| {
            assert!(matches!(placed, Placed::Stored | Placed::Existing(_)), "{placed:?}");
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sleeps_while_its_account_closes_places_nothing_later() {
    let Some((stores, _)) = stores().await else { return };
    let close = async |order: &Order| {
        stores.accounts.close(order.user, START).await.unwrap();
        stores.stored(order).await
    };
    asleep(&stores, close, async |order, seen, placed| {
        assert_eq!(stores.stored(order).await, seen, "{placed:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_recorded_twice_is_told_once() {
    let Some((stores, _)) = stores().await else { return };
    let a = stores.stocked("a", 9).await;
    let order = of(1, &[(a, 1)]);
    stores.placed(&order).await;
    let receipt = crate::fixture::receipt(1);
    let mut next = order.clone();
    let _ = next.declined(None, Reason::PaymentDeclined, after(1)).unwrap();
    let effects = Effects { receipt: Some(receipt), ..tells(&next, "order.rejected.v1") };
    assert_eq!(stores.orders.save(&next, 1, true, effects.clone()).await.unwrap(), Saved::Stored);
    assert_eq!(stores.orders.save(&next, 1, true, effects).await.unwrap(), Saved::Duplicate);
    assert_eq!((stores.available(a).await, stores.told().await.len()), (9, 2));
}
