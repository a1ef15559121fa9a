//! Placing and listing.

use futures::future::join_all;
use order::{
    app::ports::{After, Owner, Placed, Shortage},
    domain::{ids::OrderId, order::Order, status::Status},
};

use crate::fixture::{OrderSpec, START, Stores, at, of_user_1, order, readable, user};

pub async fn placing_stores_reserves_and_emits(stores: Stores) {
    let (a, b) = (stores.stocked("a", 5).await, stores.stocked("b", 5).await);
    let order = of_user_1("k", &[(a, 2), (b, 5)]);
    stores.placed(&order).await;
    assert_eq!(stores.stored(&order).await.as_ref(), Some(&order));
    assert_eq!((stores.available(a).await, stores.available(b).await), (3, 0));
    assert_eq!(stores.emitted().await, ["order.placed.v1"]);
}

pub async fn placing_again_finds_it(stores: Stores) {
    let a = stores.stocked("a", 5).await;
    let order = of_user_1("k", &[(a, 2)]);
    stores.placed(&order).await;
    let Placed::Existing(found) = stores.place(&of_user_1("k", &[(a, 1)])).await else { panic!("placed twice") };
    assert_eq!(*found, order);
    assert_eq!(stores.available(a).await, 3);
    assert_eq!(stores.emitted().await.len(), 1);
}

pub async fn of_many_at_once_one_places(stores: Stores) {
    let a = stores.stocked("a", 50).await;
    let order = of_user_1("k", &[(a, 2)]);
    let placed = join_all((0..16).map(|_| stores.place(&order))).await;
    assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Stored)).count(), 1);
    assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Existing(_))).count(), 15);
    assert_eq!(stores.available(a).await, 48);
    assert_eq!(stores.emitted().await.len(), 1);
}

pub async fn too_little_stock_reserves_nothing(stores: Stores) {
    let (a, b) = (stores.stocked("a", 5).await, stores.stocked("b", 1).await);
    let order = of_user_1("k", &[(a, 2), (b, 2)]);
    let Placed::Shortage(lines) = stores.place(&order).await else { panic!("placed") };
    assert_eq!(lines, [Shortage { line: 1, available: 1 }]);
    assert_eq!(stores.stored(&order).await, None);
    assert_eq!((stores.available(a).await, stores.available(b).await), (5, 1));
    assert!(stores.emitted().await.is_empty());
    stores.placed(&of_user_1("k", &[(a, 2), (b, 1)])).await;
}

pub async fn every_short_line_is_named(stores: Stores) {
    let mut lines = Vec::new();
    for (sku, available) in [("a", 0), ("b", 9), ("c", 1)] {
        lines.push((stores.stocked(sku, available).await, 5));
    }
    let Placed::Shortage(short) = stores.place(&of_user_1("k", &lines)).await else { panic!("placed") };
    assert_eq!(short, [Shortage { line: 0, available: 0 }, Shortage { line: 2, available: 1 }]);
}

pub async fn stock_never_goes_below_zero(stores: Stores) {
    let (a, b) = (stores.stocked("a", 10).await, stores.stocked("b", 100).await);
    let place = async |n: u128| {
        let order = order(&OrderSpec { user: user(n), key: "k", lines: &[(b, 1), (a, 1)], at: START });
        stores.place(&order).await
    };
    let placed = join_all((0..32).map(place)).await;
    assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Stored)).count(), 10);
    assert_eq!(placed.iter().filter(|p| matches!(p, Placed::Shortage(_))).count(), 22);
    assert_eq!((stores.available(a).await, stores.available(b).await), (0, 90));
}

pub async fn orders_are_listed_newest_first(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    for (n, second) in [(1, 1), (2, 3), (1, 2)] {
        let key = second.to_string();
        stores.placed(&order(&OrderSpec { user: user(n), key: &key, lines: &[(a, 1)], at: at(second) })).await;
    }
    let times = |orders: Vec<Order>| orders.iter().map(|o| (o.created_at - START).whole_seconds()).collect::<Vec<_>>();
    let list = async |owner| times(readable(stores.orders.list(owner, None, 10).await.unwrap()));
    assert_eq!(list(Owner::All).await, [3, 2, 1]);
    assert_eq!(list(Owner::User(user(1))).await, [2, 1]);
    assert_eq!(list(Owner::User(user(9))).await, [0; 0]);
}

pub async fn pages_have_no_gap_and_no_double(stores: Stores) {
    let a = stores.stocked("a", 99).await;
    let place = async |key: String, second| {
        let order = order(&OrderSpec { user: user(1), key: &key, lines: &[(a, 1)], at: at(second) });
        stores.placed(&order).await;
        order.id
    };
    let mut wanted: Vec<OrderId> = Vec::new();
    for n in 0..10 {
        // Two at the same time, so that the id decides between them.
        wanted.push(place(format!("first {n}"), n / 2).await);
    }
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = readable(stores.orders.list(Owner::User(user(1)), after, 3).await.unwrap());
        let Some(last) = page.last() else { break };
        after = Some(After { created_at: last.created_at, id: last.id });
        seen.extend(page.iter().map(|order| order.id));
        place(format!("between {}", seen.len()), 1000).await;
    }
    wanted.sort();
    seen.sort();
    assert_eq!(seen, wanted);
}

pub async fn a_users_orders_are_found_by_status(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let orders = [of_user_1("1", &[(a, 1)]), of_user_1("2", &[(a, 1)])];
    for order in &orders {
        stores.placed(order).await;
    }
    stores.placed(&order(&OrderSpec { user: user(2), key: "k", lines: &[(a, 1)], at: START })).await;
    let pending = stores.orders.of_user_in(user(1), &[Status::Pending, Status::Confirmed], 10).await.unwrap();
    assert_eq!(pending.len(), 2);
    assert_eq!(stores.orders.of_user_in(user(1), &[Status::Pending], 1).await.unwrap().len(), 1);
    let count = async |statuses: &[Status]| stores.orders.count_of_user_in(user(1), statuses).await.unwrap();
    assert_eq!(count(&[Status::Pending]).await, 2);
    assert_eq!(count(&[Status::Cancelled]).await, 0);
}
