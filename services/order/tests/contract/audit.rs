//! The contract of the port `Audit`.

use std::collections::HashMap;

use messaging::Effects;
use order::{
    app::ports::{AuditedCustomer, AuditedOrder, Sum, Totals},
    domain::{
        order::{InvalidTransition, Order},
        status::{PaymentStatus, Reason},
    },
};

use crate::fixture::{Stores, at, emits, euros, key, of_user_1, payment};

pub async fn nothing_adds_up_to_nothing(stores: Stores) {
    assert_eq!(stores.audit.totals().await.unwrap(), Totals::default());
}

async fn change<R>(
    stores: &Stores,
    order: &mut Order,
    release: bool,
    verb: impl FnOnce(&mut Order) -> Result<R, InvalidTransition>,
) {
    let expected = order.version;
    assert!(verb(order).is_ok());
    stores.orders.save(order, expected, release, Effects::default()).await.unwrap();
}

pub async fn orders_and_stock_add_up(stores: Stores) {
    let (a, b) = (stores.stocked("a", 5).await, stores.stocked("b", 5).await);
    let delivery = order::domain::values::RestockQuantity::parse(4).unwrap();
    stores.products.restock(a, delivery, &key("k", 1)).await.unwrap();
    let mut orders = [of_user_1("1", &[(a, 2), (b, 1)]), of_user_1("2", &[(a, 3)]), of_user_1("3", &[(b, 1)])];
    for order in &orders {
        stores.placed(order).await;
    }
    change(&stores, &mut orders[1], true, |order| order.declined(None, Reason::PaymentDeclined, at(1))).await;
    let totals = stores.audit.totals().await.unwrap();
    let by_status: HashMap<_, _> = totals.orders.into_iter().collect();
    assert_eq!(by_status, HashMap::from([("pending".to_owned(), 2), ("rejected".to_owned(), 1)]));
    assert_eq!((totals.products, totals.outbox), (2, 3));
    assert_eq!(totals.violations, []);
    // Stock that was released without a transition is found.
    let next = orders[0].clone();
    stores.orders.save(&next, next.version, true, emits(&next, "x")).await.unwrap();
    let violations = stores.audit.totals().await.unwrap().violations;
    assert_eq!(violations.len(), 2);
    let of_a = violations.iter().find(|violation| violation.product == a).unwrap();
    assert_eq!((of_a.available, of_a.expected), (9, 7));
}

pub async fn money_is_summed_by_currency(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let mut orders: Vec<Order> = (1..=3).map(|n| of_user_1(&n.to_string(), &[(a, n)])).collect();
    for order in &mut orders {
        stores.placed(order).await;
        let order = &mut *order;
        change(&stores, order, false, |o| o.authorized(payment(PaymentStatus::Authorized), at(1))).await;
        assert_eq!(stores.audit.totals().await.unwrap().held, [sum(order.total)]);
        change(&stores, order, false, |o| o.fulfil(at(2))).await;
        change(&stores, order, false, |o| o.captured(payment(PaymentStatus::Captured), at(3))).await;
    }
    change(&stores, &mut orders[0], false, |o| o.cancel(Reason::CancelledByCustomer, at(4))).await;
    change(&stores, &mut orders[0], false, |o| o.refunded(payment(PaymentStatus::Refunded), at(5))).await;
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!(totals.held, []);
    assert_eq!(totals.captured, [sum(euros(6 * 250))]);
    assert_eq!(totals.refunded, [sum(euros(250))]);
}

fn sum(money: money::Money) -> Sum {
    Sum { amount: money.amount, currency: money.currency.to_string() }
}

fn audited(order: &Order, confirmed: Option<bool>) -> AuditedOrder {
    AuditedOrder {
        id: order.id,
        user: order.user,
        status: order.status.name().to_owned(),
        payment: order.payment.map(|payment| (payment.id, payment.status.name().to_owned())),
        total: sum(order.total),
        lines: Some(order.total.amount),
        confirmed,
    }
}

pub async fn orders_and_customers_are_listed_by_id(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let mut orders: Vec<Order> = (1..=4).map(|n| of_user_1(&n.to_string(), &[(a, 1)])).collect();
    for order in &orders {
        stores.placed(order).await;
    }
    for order in &mut orders[..2] {
        change(&stores, order, false, |o| o.authorized(payment(PaymentStatus::Authorized), at(1))).await;
    }
    // Of the cancelled ones, one was confirmed before and one was not.
    for order in &mut orders[1..3] {
        change(&stores, order, false, |o| o.cancel(Reason::CancelledByCustomer, at(2))).await;
        change(&stores, order, true, |o| o.voided(None, at(3))).await;
    }
    let confirmed = [true, true, false, false];
    let mut expected: Vec<_> =
        orders.iter().zip(confirmed).map(|(order, confirmed)| audited(order, Some(confirmed))).collect();
    expected.sort_unstable_by_key(|order| order.id);
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = stores.audit.orders(after, 3).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        listed.extend(page);
    }
    assert_eq!(listed, expected);
    let user = orders[0].user;
    let customer = AuditedCustomer { user, confirmed: 2, unknown: 0, open: 2 };
    assert_eq!(stores.audit.customers(None, 5).await.unwrap(), [customer]);
    assert_eq!(stores.audit.customers(Some(user), 5).await.unwrap(), []);
}

/// A status of a later version, say: it is what the audit is for.
pub async fn what_cannot_be_read_is_audited_like_the_rest(stores: Stores) {
    let a = stores.stocked("a", 9).await;
    let orders = [of_user_1("1", &[(a, 1)]), of_user_1("2", &[(a, 1)])];
    for order in &orders {
        stores.placed(order).await;
    }
    (stores.spoil)(orders[0].id.0).await;
    let totals = stores.audit.totals().await.unwrap();
    assert_eq!(totals.orders.iter().map(|(_, n)| n).sum::<u64>(), 2);
    let listed = stores.audit.orders(None, 9).await.unwrap();
    let known = |order: &AuditedOrder| order.status == "pending";
    assert_eq!(listed.iter().filter(|order| known(order)).map(|order| order.id).collect::<Vec<_>>(), [orders[1].id]);
    assert_eq!(listed.len(), 2);
}
