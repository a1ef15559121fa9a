//! What the services have stored, record by record, and how two of them are compared.

use proto::payment::v1::{self as pb, AuditedPayment};
use serde::Deserialize;
use uuid::Uuid;

/// Minor units of a currency.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct Sum {
    pub(super) amount: i64,
    pub(super) currency: String,
}

/// An order, as order has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Order {
    pub(super) id: Uuid,
    pub(super) user_id: String,
    pub(super) status: String,
    pub(super) settled: bool,
    pub(super) payment: Option<OrderPayment>,
    pub(super) total: Sum,
    pub(super) lines: Option<i64>,
}

/// Its payment, as far as order knows.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct OrderPayment {
    pub(super) id: String,
    pub(super) status: String,
}

/// What the orders of a user say.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Customer {
    pub(super) user_id: Uuid,
    pub(super) confirmed: i64,
    pub(super) unknown: i64,
    pub(super) open: u64,
}

/// An account, as user has it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Account {
    pub(super) id: Uuid,
    pub(super) status: String,
    pub(super) orders_placed: i64,
}

/// In what an order and its payment differ.
pub(super) fn compare_order(order: Option<&Order>, audited: Option<&AuditedPayment>) -> Vec<String> {
    let payment = audited.and_then(|audited| audited.payment.as_ref());
    let mut found = match (order, audited) {
        (Some(order), _) => {
            let mut found = order_itself(order);
            found.extend(status(order, payment));
            found.extend(payment.into_iter().flat_map(|payment| amounts(order, payment)));
            found
        }
        (None, Some(_)) => vec![payment.map_or_else(
            || "is closed in payment, and order does not have it".to_owned(),
            |payment| format!("has payment {}, {}, and order does not have it", payment.id, name(payment)),
        )],
        (None, None) => Vec::new(),
    };
    found.extend(audited.into_iter().flat_map(|audited| &audited.discrepancies).cloned());
    found
}

fn order_itself(order: &Order) -> Vec<String> {
    let mut found = Vec::new();
    if !order.settled {
        found.push(format!("is {}, and not settled", order.status));
    }
    if order.lines != Some(order.total.amount) {
        let lines = order.lines.map_or_else(|| "cannot be read".to_owned(), |sum| format!("add up to {sum}"));
        found.push(format!("costs {}, and its lines {lines}", order.total.amount));
    }
    found
}

/// Whether the payment is where the order's status says, and where the order thinks it is.
fn status(order: &Order, payment: Option<&pb::Payment>) -> Option<String> {
    if !order.settled {
        return None;
    }
    let is = payment.map_or("none", name);
    let fits: &[&str] = match order.status.as_str() {
        "confirmed" => &["authorized"],
        "fulfilled" => &["captured"],
        "refunded" => &["refunded"],
        _ => &["none", "declined", "voided"],
    };
    if !fits.contains(&is) {
        return Some(format!("is {}, and its payment {is}", order.status));
    }
    match (&order.payment, payment) {
        (Some(known), Some(payment)) if known.id != payment.id => {
            Some(format!("has payment {}, and payment has {} of it", known.id, payment.id))
        }
        (Some(known), _) if known.status != is => Some(format!("has its payment for {}, and it is {is}", known.status)),
        _ => None,
    }
}

fn amounts(order: &Order, payment: &pb::Payment) -> Vec<String> {
    let mut found = Vec::new();
    let amount = payment.amount.as_ref().map(|amount| (amount.amount, amount.currency.as_str()));
    if amount != Some((order.total.amount, order.total.currency.as_str())) {
        let (paid, currency) = amount.unwrap_or_default();
        let Sum { amount, currency: of_order } = &order.total;
        found.push(format!("costs {amount} {of_order}, and its payment is of {paid} {currency}"));
    }
    if payment.user_id != order.user_id {
        found.push(format!("is of user {}, and its payment of user {}", order.user_id, payment.user_id));
    }
    found
}

/// The status of a payment, as order names it.
fn name(payment: &pb::Payment) -> &'static str {
    match payment.status() {
        pb::Status::Unspecified => "of no known status",
        pb::Status::Pending => "pending",
        pb::Status::Authorized => "authorized",
        pb::Status::Declined => "declined",
        pb::Status::Captured => "captured",
        pb::Status::Voided => "voided",
        pb::Status::Refunded => "refunded",
    }
}

/// In what an account and its orders differ.
pub(super) fn compare_account(account: Option<&Account>, customer: Option<&Customer>) -> Vec<String> {
    let (confirmed, unknown, open) = customer.map_or((0, 0, 0), |c| (c.confirmed, c.unknown, c.open));
    let Some(account) = account else {
        return vec!["has orders, and user does not have it".to_owned()];
    };
    let mut found = Vec::new();
    if !(confirmed..=confirmed + unknown).contains(&account.orders_placed) {
        found.push(format!("counts {} orders, and {confirmed} were confirmed", account.orders_placed));
    }
    if account.status == "closed" && open > 0 {
        found.push(format!("is closed, with open orders: {open}"));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(status: &str) -> Order {
        let payment = ["confirmed", "fulfilled", "refunded"].iter().position(|paid| *paid == status);
        let payment = payment.map(|at| ["authorized", "captured", "refunded"][at].to_owned());
        Order {
            id: Uuid::max(),
            user_id: "u".to_owned(),
            status: status.to_owned(),
            settled: true,
            payment: payment.map(|status| OrderPayment { id: "p".to_owned(), status }),
            total: Sum { amount: 500, currency: "EUR".to_owned() },
            lines: Some(500),
        }
    }

    fn audited(status: pb::Status) -> AuditedPayment {
        let payment = pb::Payment {
            id: "p".to_owned(),
            user_id: "u".to_owned(),
            amount: Some(pb::Money { amount: 500, currency: "EUR".to_owned() }),
            status: status.into(),
            ..Default::default()
        };
        AuditedPayment { payment: Some(payment), ..Default::default() }
    }

    #[test]
    fn every_status_fits_the_payments_that_it_may_have_and_no_other() {
        use pb::Status::{Authorized, Captured, Declined, Pending, Refunded, Voided};
        let all = [Pending, Authorized, Declined, Captured, Voided, Refunded];
        for (status, fits) in [
            ("confirmed", &[Authorized][..]),
            ("fulfilled", &[Captured]),
            ("refunded", &[Refunded]),
            ("rejected", &[Declined, Voided]),
            ("cancelled", &[Declined, Voided]),
        ] {
            for payment in all {
                let found = compare_order(Some(&order(status)), Some(&audited(payment)));
                assert_eq!(found.is_empty(), fits.contains(&payment), "{status}, {payment:?}: {found:?}");
            }
            let without = compare_order(Some(&order(status)), Some(&AuditedPayment::default()));
            assert_eq!(without.is_empty(), fits.contains(&Voided), "{status}, closed: {without:?}");
            assert_eq!(compare_order(Some(&order(status)), None), without, "{status}, no payment");
        }
    }

    #[test]
    fn each_difference_is_found() {
        let found = |change: fn(&mut Order, &mut AuditedPayment)| {
            let (mut order, mut audited) = (order("fulfilled"), audited(pb::Status::Captured));
            change(&mut order, &mut audited);
            compare_order(Some(&order), Some(&audited)).len()
        };
        assert_eq!(found(|_, _| ()), 0);
        assert_eq!(found(|order, _| order.total.amount = 600), 2, "the lines and the payment");
        assert_eq!(found(|order, _| order.total.currency = "USD".to_owned()), 1);
        assert_eq!(found(|order, _| order.lines = None), 1);
        assert_eq!(found(|order, _| order.settled = false), 1);
        assert_eq!(found(|order, _| order.payment.as_mut().unwrap().id = "q".to_owned()), 1);
        assert_eq!(found(|order, _| order.payment.as_mut().unwrap().status = "voided".to_owned()), 1);
        assert_eq!(found(|_, audited| audited.payment.as_mut().unwrap().user_id = "v".to_owned()), 1);
        assert_eq!(found(|_, audited| audited.discrepancies.push("ch_2".to_owned())), 1);
        assert_eq!(compare_order(None, Some(&audited(pb::Status::Captured))).len(), 1);
        assert_eq!(compare_order(None, Some(&AuditedPayment::default())).len(), 1);
    }

    #[test]
    fn accounts_count_what_was_confirmed() {
        let account =
            |status: &str, orders_placed| Account { id: Uuid::max(), status: status.to_owned(), orders_placed };
        let customer = |confirmed, unknown, open| Customer { user_id: Uuid::max(), confirmed, unknown, open };
        let found = |account: &Account, customer: &Customer| compare_account(Some(account), Some(customer)).len();
        assert_eq!(found(&account("active", 2), &customer(2, 0, 1)), 0);
        assert_eq!(found(&account("active", 3), &customer(2, 1, 1)), 0);
        assert_eq!(found(&account("active", 4), &customer(2, 1, 1)), 1);
        assert_eq!(found(&account("active", 1), &customer(2, 1, 1)), 1);
        assert_eq!(found(&account("closed", 2), &customer(2, 0, 1)), 1);
        assert_eq!(compare_account(Some(&account("active", 0)), None), Vec::<String>::new());
        assert_eq!(compare_account(Some(&account("active", 1)), None).len(), 1);
        assert_eq!(compare_account(None, Some(&customer(0, 0, 0))).len(), 1);
    }
}
