//! Asks the running services for their books and compares them, in sums and record by record.

mod join;
mod records;
mod report;
mod services;
mod walk;

use std::time::Duration;

use anyhow::Result;
use auth::Credential;
use messaging::{Bus, DeadLetter};
use proto::payment::v1::AuditResponse;
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub use self::report::{Check, Report};
use self::services::Services;
use crate::state::State;

const LOOK: Duration = Duration::from_millis(100);
/// The most dead letters that are read.
const MAX_DEAD_LETTERS: usize = 1_000;

/// What the three services say.
#[derive(Debug)]
struct Books {
    user: Value,
    order: Value,
    payment: AuditResponse,
}

/// Asks until everything holds, or until `timeout` is over: orders may be under way. Then goes through orders, payments,
/// charges and accounts one by one.
///
/// # Errors
///
/// A service does not answer.
pub async fn verify(state: &State, credential: &Credential, timeout: Duration) -> Result<Report> {
    let (services, deadline) = (Services::new(state, credential)?, Instant::now() + timeout);
    let mut report = loop {
        let found = ask(&services).await.map(|books| examine(&books));
        match found {
            Ok(report) if report.holds() || Instant::now() >= deadline => break report,
            Err(error) if Instant::now() >= deadline => return Err(error),
            _ => sleep(LOOK).await,
        }
    };
    for check in walk::walk(&services, deadline).await? {
        report.add(check);
    }
    Ok(report)
}

/// Whether the bus has no dead letter: an event that a group has given up is work that nobody does.
///
/// # Errors
///
/// The bus does not answer.
pub async fn dead_letters(bus: &dyn Bus) -> Result<Check> {
    let dead_letters = bus.dead_letters(None, MAX_DEAD_LETTERS).await?;
    let line = |DeadLetter { group, event, reason, .. }: &DeadLetter| {
        format!("event {}, {} of {}, died in {group}: {}", event.id, event.kind, event.key, reason.cause)
    };
    let detail = format!("dead letters: {}", dead_letters.len());
    Ok(Check::of("every event was handled", dead_letters.iter().map(line).collect(), detail))
}

async fn ask(services: &Services) -> Result<Books> {
    // In this order: what the order service counts has happened in payment before.
    Ok(Books { user: services.user().await?, order: services.order().await?, payment: services.payment().await? })
}

fn examine(books: &Books) -> Report {
    let Books { user, order, payment } = books;
    let outboxes = [number(&user["outbox"]), number(&order["outbox"]), payment.outbox];
    let left = format!("user {}, order {}, payment {}", outboxes[0], outboxes[1], outboxes[2]);
    Report(vec![
        settled(order, payment),
        stock(order),
        Check::new(
            "every ledger transaction sums to zero",
            payment.unbalanced == 0,
            format!("{} payments; unbalanced: {}", payment.payments, payment.unbalanced),
        ),
        Check::new(
            "nobody is charged twice",
            payment.charged_twice == 0,
            format!("charged twice: {}", payment.charged_twice),
        ),
        Check::new("every event has left its outbox", outboxes == [0; 3], left),
    ])
}

fn settled(order: &Value, payment: &AuditResponse) -> Check {
    let (statuses, underway, unresolved) =
        (statuses(&order["orders"]), number(&order["unsettled"]), payment.unresolved);
    let detail = format!("{statuses}; under way: {underway}; payments unresolved: {unresolved}");
    Check::new("every order is settled", underway == 0 && unresolved == 0, detail)
}

fn stock(order: &Value) -> Check {
    let (products, violations) = (&order["stock"]["products"], order["stock"]["violations"].as_array());
    let line = |violation: &Value| {
        let (product, available) = (violation["product_id"].as_str().unwrap_or_default(), &violation["available"]);
        format!("product {product} has {available} available, and should have {}", violation["expected"])
    };
    let mut check = Check::of(
        "stock is what was there, plus restocked, minus sold",
        violations.into_iter().flatten().map(line).collect(),
        format!("{products} products"),
    );
    check.holds &= violations.is_some();
    check
}

/// A count; what is none is as bad as can be.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

fn statuses(orders: &Value) -> String {
    let all = orders.as_object().into_iter().flatten();
    let some: Vec<_> = all.filter(|(_, n)| n.as_u64() != Some(0)).map(|(status, n)| format!("{n} {status}")).collect();
    if some.is_empty() { "no orders".to_owned() } else { some.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn good() -> Books {
        let order = json!({
            "orders": {"confirmed": 1, "refunded": 1, "fulfilled": 1}, "unsettled": 0, "outbox": 0,
            "stock": {"products": 50, "violations": []},
        });
        let payment = AuditResponse { payments: 3, ..Default::default() };
        Books { user: json!({"users": 1, "outbox": 0}), order, payment }
    }

    fn failing(change: impl FnOnce(&mut Books)) -> Vec<&'static str> {
        let mut books = good();
        change(&mut books);
        let report = examine(&books);
        report.checks().iter().filter(|check| !check.holds).map(|check| check.name).collect()
    }

    #[test]
    fn good_books_hold() {
        assert!(failing(|_| ()).is_empty());
        assert!(examine(&good()).holds());
        assert_eq!(examine(&good()).lines().len(), 5);
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(failing(|books| books.payment.unbalanced = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.charged_twice = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.unresolved = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.outbox = 1).len(), 1);
        assert_eq!(failing(|books| books.user["outbox"] = json!(2)).len(), 1);
        assert_eq!(failing(|books| books.order["unsettled"] = json!(1)).len(), 1);
        assert_eq!(failing(|books| books.order["stock"]["violations"] = json!([{"product_id": "MUG"}])).len(), 1);
        assert_eq!(failing(|books| books.order = json!({})).len(), 3, "an answer without figures proves nothing");
    }
}
