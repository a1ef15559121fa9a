//! Saving transitions, with what they cause.

use futures::future::join_all;
use messaging::Effects;
use order::{
    app::ports::{After, Orders, Owner, Row, Sagas, Saved},
    domain::{
        order::{InvalidTransition, Order},
        status::{PaymentStatus, Reason, Status},
    },
};

use crate::fixture::{OrderSpec, START, Stores, at, emits, of_user_1, order, payment, readable, receipt, user};

fn confirmed(order: &Order) -> Order {
    let mut order = order.clone();
    let _ = order.authorized(payment(PaymentStatus::Authorized), at(1)).unwrap();
    order
}

fn rejected(order: &Order) -> Order {
    let mut order = order.clone();
    let paid = Some(payment(PaymentStatus::Declined));
    let _ = order.declined(paid, Reason::PaymentDeclined, at(1)).unwrap();
    order
}

async fn placed(stores: &Stores) -> Order {
    let a = stores.stocked("a", 5).await;
    let order = of_user_1("k", &[(a, 2)]);
    stores.placed(&order).await;
    order
}

pub async fn a_change_is_stored_with_its_event(stores: Stores) {
    let order = placed(&stores).await;
    let next = confirmed(&order);
    let saved = stores.orders.save(&next, 1, false, emits(&next, "order.confirmed.v1")).await.unwrap();
    assert_eq!(saved, Saved::Stored);
    assert_eq!(stores.stored(&order).await.as_ref(), Some(&next));
    assert_eq!(stores.emitted().await, ["order.placed.v1", "order.confirmed.v1"]);
    assert_eq!(stores.available(order.items[0].product).await, 3);
}

pub async fn stock_comes_back_when_it_is_released(stores: Stores) {
    let order = placed(&stores).await;
    let next = rejected(&order);
    stores.orders.save(&next, 1, true, emits(&next, "order.rejected.v1")).await.unwrap();
    assert_eq!(stores.available(order.items[0].product).await, 5);
}

pub async fn a_stale_version_changes_nothing(stores: Stores) {
    let order = placed(&stores).await;
    let next = confirmed(&order);
    stores.orders.save(&next, 1, false, Effects::default()).await.unwrap();
    let late = rejected(&order);
    let effects = Effects { receipt: Some(receipt(1)), ..emits(&late, "order.rejected.v1") };
    let saved = stores.orders.save(&late, 1, true, effects).await.unwrap();
    assert_eq!(saved, Saved::Stale);
    assert_eq!(stores.stored(&order).await.as_ref(), Some(&next));
    assert_eq!(stores.available(order.items[0].product).await, 3);
    assert_eq!(stores.emitted().await, ["order.placed.v1"]);
    // Not even the receipt is left.
    let mut again = next.clone();
    again.fulfil(at(2)).unwrap();
    let effects = Effects { receipt: Some(receipt(1)), ..Effects::default() };
    assert_eq!(stores.orders.save(&again, next.version, false, effects).await.unwrap(), Saved::Stored);
}

pub async fn of_many_changes_at_once_one_is_stored(stores: Stores) {
    let order = placed(&stores).await;
    let save = async |n: usize| {
        let (next, release) = if n.is_multiple_of(2) { (confirmed(&order), false) } else { (rejected(&order), true) };
        stores.orders.save(&next, 1, release, emits(&next, "order.changed.v1")).await.unwrap()
    };
    let saved = join_all((0..16).map(save)).await;
    assert_eq!(saved.iter().filter(|saved| **saved == Saved::Stored).count(), 1);
    assert_eq!(stores.emitted().await.len(), 2);
    let held = stores.stored(&order).await.unwrap().status.holds_stock();
    assert_eq!(stores.available(order.items[0].product).await, if held { 3 } else { 5 });
}

pub async fn an_event_is_applied_once(stores: Stores) {
    let order = placed(&stores).await;
    let next = confirmed(&order);
    let effects = Effects { receipt: Some(receipt(1)), ..emits(&next, "order.confirmed.v1") };
    assert_eq!(stores.orders.save(&next, 1, false, effects).await.unwrap(), Saved::Stored);
    let mut again = next.clone();
    again.cancel(Reason::CancelledByCustomer, at(2)).unwrap();
    let effects = Effects { receipt: Some(receipt(1)), ..emits(&again, "order.cancelled.v1") };
    assert_eq!(stores.orders.save(&again, next.version, true, effects).await.unwrap(), Saved::Duplicate);
    assert_eq!(stores.stored(&order).await.as_ref(), Some(&next));
    assert_eq!(stores.available(order.items[0].product).await, 3);
    assert_eq!(stores.emitted().await.len(), 2);
}

pub async fn an_event_with_a_recorded_receipt_is_not_applied(stores: Stores) {
    let order = placed(&stores).await;
    stores.orders.record_receipt(receipt(1)).await.unwrap();
    stores.orders.record_receipt(receipt(1)).await.unwrap();
    let effects = Effects { receipt: Some(receipt(1)), ..Effects::default() };
    let saved = stores.orders.save(&confirmed(&order), 1, false, effects).await.unwrap();
    assert_eq!(saved, Saved::Duplicate);
}

pub async fn due_orders_come_longest_waiting_first(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let mut orders = Vec::new();
    for n in 0..3 {
        let spec = OrderSpec { user: user(1), key: &n.to_string(), lines: &[(a, 1)], at: at(10 - n) };
        let order = order(&spec);
        stores.placed(&order).await;
        orders.push(order);
    }
    let due = async |seconds, limit| {
        let due = readable(stores.orders.due(at(seconds), limit).await.unwrap());
        due.iter().map(|order| order.id).collect::<Vec<_>>()
    };
    // Due two seconds after they were placed.
    assert_eq!(due(9, 9).await, []);
    assert_eq!(due(10, 9).await, [orders[2].id]);
    assert_eq!(due(12, 9).await, [orders[2].id, orders[1].id, orders[0].id]);
    assert_eq!(due(12, 1).await, [orders[2].id]);
    orders[2].postpone(at(12)).unwrap();
    stores.orders.postpone(&orders[2]).await.unwrap();
    assert_eq!(stores.stored(&orders[2]).await.as_ref(), Some(&orders[2]));
    assert_eq!(due(12, 9).await, [orders[1].id, orders[0].id]);
    // An order without a next step is never due, and a stale version postpones nothing.
    let next = confirmed(&orders[1]);
    stores.orders.save(&next, 1, false, Effects::default()).await.unwrap();
    orders[1].postpone(at(12)).unwrap();
    stores.orders.postpone(&orders[1]).await.unwrap();
    assert_eq!(due(9999, 9).await, [orders[0].id, orders[2].id]);
}

/// It was stored under a clock that was wrong: nothing waits that long.
pub async fn what_is_due_too_far_ahead_is_due(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let mut orders = Vec::new();
    for (n, seconds) in [(0, 0), (1, 50), (2, 3_600)] {
        let placed = order(&OrderSpec { user: user(n), key: "k", lines: &[(a, 1)], at: at(seconds) });
        stores.placed(&placed).await;
        orders.push(placed.id);
    }
    let due: Vec<_> = readable(stores.orders.due(at(9), 9).await.unwrap()).iter().map(|order| order.id).collect();
    assert_eq!(due, [orders[0], orders[2]]);
}

/// Those with a next step, by status, up to a limit; one that cannot be read is left out.
pub async fn sagas_under_way_are_counted(stores: Stores) {
    assert_eq!(stores.orders.sagas(9).await.unwrap(), Sagas::default());
    let a = stores.stocked("a", 9).await;
    let mut orders = Vec::new();
    for n in 0..4 {
        let placed = order(&OrderSpec { user: user(1), key: &n.to_string(), lines: &[(a, 1)], at: at(n) });
        stores.placed(&placed).await;
        orders.push(placed);
    }
    let pending = |n: u64, oldest| Sagas { by_status: vec![(Status::Pending, n)], oldest: Some(at(oldest)) };
    assert_eq!(stores.orders.sagas(9).await.unwrap(), pending(4, 0));
    assert_eq!(stores.orders.sagas(2).await.unwrap(), pending(2, 0));
    stores.orders.save(&confirmed(&orders[0]), 1, false, Effects::default()).await.unwrap();
    assert_eq!(stores.orders.sagas(9).await.unwrap(), pending(3, 1), "one has no next step any more");
    (stores.spoil)(orders[2].id.0).await;
    assert_eq!(stores.orders.sagas(9).await.unwrap().by_status, [(Status::Pending, 2)]);
}

/// It is said which one it is, and it makes way for the others until it may be read again.
pub async fn one_that_cannot_be_read_holds_up_no_other(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let mut orders = Vec::new();
    for n in 0..3 {
        let placed = order(&OrderSpec { user: user(1), key: &n.to_string(), lines: &[(a, 1)], at: at(n) });
        stores.placed(&placed).await;
        orders.push(placed);
    }
    let [first, spoiled, last] = &orders[..] else { unreachable!() };
    (stores.spoil)(spoiled.id.0).await;
    stores.orders.get(spoiled.id).await.unwrap_err();
    let place = |order: &Order| After { created_at: order.created_at, id: order.id };
    let places = |rows: Vec<Row<Order>>| -> Vec<Result<After, Option<After>>> {
        rows.into_iter().map(|row| row.map(|order| place(&order)).map_err(|spoiled| spoiled.key)).collect()
    };
    for owner in [Owner::All, Owner::User(user(1))] {
        let listed = places(stores.orders.list(owner, None, 9).await.unwrap());
        assert_eq!(listed, [Ok(place(last)), Err(Some(place(spoiled))), Ok(place(first))]);
        let next = places(stores.orders.list(owner, Some(place(spoiled)), 9).await.unwrap());
        assert_eq!(next, [Ok(place(first))]);
    }
    let due = async |seconds| places(stores.orders.due(at(seconds), 9).await.unwrap());
    assert_eq!(due(99).await, [Ok(place(first)), Err(Some(place(spoiled))), Ok(place(last))]);
    stores.orders.set_aside(spoiled.id, at(0), at(200)).await.unwrap();
    assert_eq!(due(99).await.len(), 3, "it was not due then");
    stores.orders.set_aside(spoiled.id, at(99), at(200)).await.unwrap();
    assert_eq!(due(199).await, [Ok(place(first)), Ok(place(last))]);
    assert_eq!(due(200).await, [Ok(place(first)), Ok(place(last)), Err(Some(place(spoiled)))]);
}

pub async fn every_state_comes_back_as_it_went(stores: Stores) {
    let mut order = placed(&stores).await;
    order.fulfil(START).unwrap_err();
    save(&*stores.orders, &mut order, |order| order.authorized(payment(PaymentStatus::Authorized), at(1))).await;
    save(&*stores.orders, &mut order, |order| order.fulfil(at(2))).await;
    save(&*stores.orders, &mut order, |order| order.cancel(Reason::CancelledByOperator, at(3))).await;
    save(&*stores.orders, &mut order, |order| order.captured(payment(PaymentStatus::Captured), at(4))).await;
    save(&*stores.orders, &mut order, |order| order.refunded(payment(PaymentStatus::Refunded), at(5))).await;
    assert_eq!(order.status, Status::Refunded);
    let due = stores.orders.due(at(99_999), 10).await.unwrap();
    assert!(due.is_empty());
}

async fn save<R>(
    orders: &dyn Orders,
    order: &mut Order,
    verb: impl FnOnce(&mut Order) -> Result<R, InvalidTransition>,
) {
    let expected = order.version;
    assert!(verb(order).is_ok());
    assert_eq!(orders.save(order, expected, false, Effects::default()).await.unwrap(), Saved::Stored);
    assert_eq!(orders.get(order.id).await.unwrap().as_ref(), Some(&*order));
}
