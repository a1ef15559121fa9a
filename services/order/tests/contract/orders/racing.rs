//! Commands at the same time that compete for the same stock.

use std::time::{Duration, Instant};

use futures::{future::join, future::join_all};
use messaging::Effects;
use order::{
    app::ports::{Placed, Saved},
    domain::{
        order::Order,
        status::{PaymentStatus, Reason, Status},
    },
};

use crate::fixture::{OrderSpec, START, Stores, at, of_user_1, order, payment, user};

fn of(n: u128, lines: &[(order::domain::ids::ProductId, i64)]) -> Order {
    order(&OrderSpec { user: user(n), key: "k", lines, at: START })
}

/// Orders that want the last pieces of two products, named in either order: somebody gets them, nobody half.
pub async fn the_last_pieces_go_to_somebody(stores: Stores) {
    for round in 0..8_u128 {
        let (a, b) = (stores.stocked(&format!("a{round}"), 1).await, stores.stocked(&format!("b{round}"), 1).await);
        let lines = [[(a, 1), (b, 1)], [(b, 1), (a, 1)]];
        let orders: Vec<Order> = (0..6).map(|n| of(round * 6 + n, &lines[usize::from(n % 2 == 0)])).collect();
        let placed = join_all(orders.iter().map(|order| stores.place(order))).await;
        assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Stored)).count(), 1, "{placed:?}");
        assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Shortage(_))).count(), 5, "{placed:?}");
        assert_eq!((stores.available(a).await, stores.available(b).await), (0, 0));
    }
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
}

/// Stock is released while others want it: the sums stay right and no event is lost.
pub async fn released_stock_is_sold_once(stores: Stores) {
    let a = stores.stocked("a", 4).await;
    let mut first: Vec<Order> = (0..4).map(|n| of(n, &[(a, 1)])).collect();
    for order in &first {
        stores.placed(order).await;
    }
    let releases = first.iter_mut().map(|order| {
        let stores = stores.clone();
        async move {
            let expected = order.version;
            let _ = order.declined(None, Reason::PaymentDeclined, at(1)).unwrap();
            let effects = crate::fixture::emits(order, "order.rejected.v1");
            assert_eq!(stores.orders.save(order, expected, true, effects).await.unwrap(), Saved::Stored);
        }
    });
    let wanted: Vec<Order> = (10..18).map(|n| of(n, &[(a, 1)])).collect();
    let (_, placed) = join(join_all(releases), join_all(wanted.iter().map(|order| stores.place(order)))).await;
    let sold = placed.iter().filter(|p| matches!(p, Placed::Stored)).count();
    assert_eq!(usize::try_from(4 - stores.available(a).await).unwrap(), sold);
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!((totals.violations, totals.outbox), (vec![], 8 + sold as u64));
}

/// Far more orders than a product's document lists operations, some of them rejected at once.
pub async fn many_orders_of_one_product_add_up(stores: Stores) {
    let a = stores.stocked("a", 1000).await;
    let one = async |n: u128| {
        for key in 0..20 {
            let mut placed = order(&OrderSpec { user: user(n), key: &key.to_string(), lines: &[(a, 2)], at: START });
            stores.placed(&placed).await;
            if key % 2 == 0 {
                let _ = placed.declined(None, Reason::PaymentDeclined, at(1)).unwrap();
                let saved = stores.orders.save(&placed, 1, true, Effects::default()).await.unwrap();
                assert_eq!(saved, Saved::Stored);
            }
        }
    };
    join_all((0..8).map(one)).await;
    assert_eq!(stores.available(a).await, 1000 - 8 * 10 * 2);
    assert_eq!(stores.audit.totals().await.unwrap().violations, []);
    stores.placed(&of_user_1("later", &[(a, 1)])).await;
}

/// A hundred orders at once of one product take about as long as of a hundred products: nobody waits for what the others
/// try again.
pub async fn one_product_is_ordered_about_as_fast_as_many(stores: Stores) {
    let hot = stores.stocked("hot", 10_000).await;
    let mut products = Vec::new();
    for n in 0..100 {
        products.push(stores.stocked(&n.to_string(), 10_000).await);
    }
    let median = async |round: u128, product: &dyn Fn(usize) -> order::domain::ids::ProductId| {
        let timed = (0..100).map(async |n| {
            let order = of(round * 100 + n as u128, &[(product(n), 1)]);
            let begun = Instant::now();
            stores.placed(&order).await;
            begun.elapsed()
        });
        let mut took = join_all(timed).await;
        took.sort_unstable();
        took[50]
    };
    // The best of three, in turns: other tests run beside it.
    let (mut of_many, mut of_one) = (Duration::MAX, Duration::MAX);
    for round in 0..3 {
        of_many = of_many.min(median(round * 2, &|n| products[n]).await);
        of_one = of_one.min(median(round * 2 + 1, &|_| hot).await);
    }
    println!("p50 of many {of_many:?}, of one {of_one:?}");
    assert!(of_one < of_many * 3, "p50 of many {of_many:?}, of one {of_one:?}");
}

/// A closing that has read the order as confirmed decides again over what a fulfilment has stored: the goods leave, and
/// their money is not given back.
pub async fn a_closing_decides_over_the_stored_order(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let store = async |order: &Order, expected: u64| {
        stores.orders.save(order, expected, false, Effects::default()).await.unwrap()
    };
    for fulfilled in [false, true] {
        let mut confirmed = of(u128::from(fulfilled), &[(a, 1)]);
        stores.placed(&confirmed).await;
        let _ = confirmed.authorized(payment(PaymentStatus::Authorized), at(1)).unwrap();
        assert_eq!(store(&confirmed, 1).await, Saved::Stored);
        let mut closing = confirmed.clone();
        let mut leaving = confirmed;
        let _ = leaving.fulfil(at(2)).unwrap();
        assert_eq!(store(&leaving, 2).await, Saved::Stored);
        if fulfilled {
            let _ = leaving.captured(payment(PaymentStatus::Captured), at(3)).unwrap();
            assert_eq!(store(&leaving, 3).await, Saved::Stored);
        }
        let _ = closing.cancel(Reason::AccountClosed, at(4)).unwrap();
        assert_eq!(store(&closing, 2).await, Saved::Stale);
        let mut again = stores.stored(&closing).await.unwrap();
        let refused = again.cancel(Reason::AccountClosed, at(4)).unwrap_err();
        assert_eq!(refused.from, if fulfilled { Status::Fulfilled } else { Status::Fulfilling });
        assert_eq!(again, leaving);
    }
}
