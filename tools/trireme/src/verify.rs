//! Asks the running services for their books and compares them: stock adds up, and so does money.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result};
use auth::{CREDENTIAL_HEADER, Credential};
use proto::payment::v1::{AuditRequest, AuditResponse, Money, payment_service_client::PaymentServiceClient};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tonic::{metadata::MetadataValue, transport::Endpoint};

use crate::{
    http::Http,
    output::{bold, dim, mark},
    service::Service,
    state::State,
};

const LOOK: Duration = Duration::from_millis(100);
const TIMEOUT: Duration = Duration::from_secs(5);

/// One thing that has to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// Whether it does.
    pub holds: bool,
    /// The figures.
    pub detail: String,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report(Vec<Check>);

impl Report {
    /// Everything that was checked.
    pub fn checks(&self) -> &[Check] {
        &self.0
    }

    /// Whether everything holds.
    pub fn holds(&self) -> bool {
        self.0.iter().all(|check| check.holds)
    }

    /// A table.
    pub fn lines(&self) -> Vec<String> {
        let width = self.0.iter().map(|check| check.name.chars().count()).max().unwrap_or_default();
        let row = |check: &Check| {
            let detail = if check.holds { dim(&check.detail) } else { bold(&check.detail) };
            format!("  {} {:<width$}  {detail}", mark(check.holds), check.name)
        };
        self.0.iter().map(row).collect()
    }
}

/// What the three services say.
#[derive(Debug)]
struct Books {
    user: Value,
    order: Value,
    payment: AuditResponse,
}

/// Asks until everything holds, or until `timeout` is over: orders may be under way.
///
/// # Errors
///
/// A service does not answer.
pub async fn verify(state: &State, credential: &Credential, timeout: Duration) -> Result<Report> {
    let start = Instant::now();
    loop {
        let found = ask(state, credential).await.map(|books| examine(&books));
        match found {
            Ok(report) if report.holds() || start.elapsed() >= timeout => return Ok(report),
            Err(error) if start.elapsed() >= timeout => return Err(error),
            _ => sleep(LOOK).await,
        }
    }
}

async fn ask(state: &State, credential: &Credential) -> Result<Books> {
    let addresses = |name| state.service(name).map(|service| &service.addresses).context("nothing was started yet");
    let (user, order) = (addresses(Service::User)?, addresses(Service::Order)?);
    let payment = addresses(Service::Payment)?;
    // In this order: what the order service counts has happened in payment before.
    Ok(Books {
        user: audit(&user.http, credential).await.context("user")?,
        order: audit(&order.http, credential).await.context("order")?,
        payment: audit_payment(&payment.grpc, credential).await.context("payment")?,
    })
}

async fn audit(base: &str, credential: &Credential) -> Result<Value> {
    let credential = credential.header_value();
    let headers = [(CREDENTIAL_HEADER, credential.to_str()?)];
    let answer = Http::new().send(http::Method::GET, &format!("{base}/internal/v1/audit"), &headers, None).await?;
    Ok(answer.expect(&[200], "audit")?.body)
}

async fn audit_payment(address: &str, credential: &Credential) -> Result<AuditResponse> {
    let endpoint = Endpoint::from_shared(address.to_owned())?.timeout(TIMEOUT).connect_timeout(TIMEOUT);
    let mut request = tonic::Request::new(AuditRequest {});
    let credential = MetadataValue::try_from(credential.header_value().as_bytes())?;
    request.metadata_mut().insert(CREDENTIAL_HEADER, credential);
    Ok(PaymentServiceClient::new(endpoint.connect().await?).audit(request).await?.into_inner())
}

/// Amounts by currency.
type Sums = BTreeMap<String, i64>;

fn examine(books: &Books) -> Report {
    let Books { user, order, payment } = books;
    let outboxes = [number(&user["outbox"]), number(&order["outbox"]), payment.outbox];
    let left = format!("user {}, order {}, payment {}", outboxes[0], outboxes[1], outboxes[2]);
    let mut checks = vec![settled(order, payment), stock(order)];
    checks.extend(money(order, payment));
    checks.push(check("every event has left its outbox", outboxes == [0; 3], left));
    Report(checks)
}

fn check(name: &'static str, holds: bool, detail: String) -> Check {
    Check { name, holds, detail }
}

fn settled(order: &Value, payment: &AuditResponse) -> Check {
    let (statuses, underway, unresolved) =
        (statuses(&order["orders"]), number(&order["unsettled"]), payment.unresolved);
    let detail = format!("{statuses}; under way: {underway}; payments unresolved: {unresolved}");
    check("every order is settled", underway == 0 && unresolved == 0, detail)
}

fn stock(order: &Value) -> Check {
    let (products, violations) = (&order["stock"]["products"], &order["stock"]["violations"]);
    let detail = format!("{products} products; violations: {violations}");
    check(
        "stock is what was there, plus restocked, minus sold",
        violations.as_array().is_some_and(Vec::is_empty),
        detail,
    )
}

/// What payment's books say of themselves, then what they say beside the orders.
fn money(order: &Value, payment: &AuditResponse) -> [Check; 5] {
    let agree = |name, claimed: &Value, booked: &[Money]| {
        let (claimed, booked) = (sums(claimed), ledger(booked));
        check(name, claimed == booked, format!("orders: {}; ledger: {}", shown(&claimed), shown(&booked)))
    };
    [
        check(
            "every ledger transaction sums to zero",
            payment.unbalanced == 0,
            format!("{} payments; unbalanced: {}", payment.payments, payment.unbalanced),
        ),
        check(
            "nobody is charged twice",
            payment.charged_twice == 0,
            format!("charged twice: {}", payment.charged_twice),
        ),
        agree("captured is what the orders say", &order["captured"], &payment.captured),
        agree("refunded is what the orders say", &order["refunded"], &payment.refunded),
        agree("held is what the confirmed orders say", &order["held"], &payment.held),
    ]
}

/// A count; what is none is as bad as can be.
fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(u64::MAX)
}

fn sums(value: &Value) -> Sums {
    let sum = |sum: &Value| Some((sum["currency"].as_str()?.to_owned(), sum["amount"].as_i64()?));
    without_zero(value.as_array().into_iter().flatten().filter_map(sum).collect())
}

fn statuses(orders: &Value) -> String {
    let all = orders.as_object().into_iter().flatten();
    let some: Vec<_> = all.filter(|(_, n)| n.as_u64() != Some(0)).map(|(status, n)| format!("{n} {status}")).collect();
    if some.is_empty() { "no orders".to_owned() } else { some.join(", ") }
}

fn ledger(sums: &[Money]) -> Sums {
    without_zero(sums.iter().map(|sum| (sum.currency.clone(), sum.amount)).collect())
}

fn without_zero(mut sums: Sums) -> Sums {
    sums.retain(|_, amount| *amount != 0);
    sums
}

fn shown(sums: &Sums) -> String {
    let all: Vec<_> = sums.iter().map(|(currency, amount)| format!("{amount} {currency}")).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" + ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn money(amount: i64) -> Vec<Money> {
        vec![Money { amount, currency: "EUR".into() }]
    }

    fn good() -> Books {
        let order = json!({
            "orders": {"confirmed": 1, "refunded": 1, "fulfilled": 1}, "unsettled": 0, "outbox": 0,
            "held": [{"currency": "EUR", "amount": 50}],
            "captured": [{"currency": "EUR", "amount": 300}], "refunded": [{"currency": "EUR", "amount": 100}],
            "stock": {"products": 50, "violations": []},
        });
        let payment = AuditResponse {
            captured: money(300),
            refunded: money(100),
            held: money(50),
            payments: 3,
            ..Default::default()
        };
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
        assert_eq!(examine(&good()).lines().len(), 8);
    }

    #[test]
    fn each_fault_is_found() {
        assert_eq!(failing(|books| books.payment.captured = money(400)).len(), 1);
        assert_eq!(failing(|books| books.payment.refunded.clear()).len(), 1);
        assert_eq!(failing(|books| books.payment.held.clear()).len(), 1);
        assert_eq!(failing(|books| books.order["held"] = json!([])).len(), 1);
        assert_eq!(failing(|books| books.payment.unbalanced = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.charged_twice = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.unresolved = 1).len(), 1);
        assert_eq!(failing(|books| books.payment.outbox = 1).len(), 1);
        assert_eq!(failing(|books| books.user["outbox"] = json!(2)).len(), 1);
        assert_eq!(failing(|books| books.order["unsettled"] = json!(1)).len(), 1);
        assert_eq!(failing(|books| books.order["stock"]["violations"] = json!(["MUG"])).len(), 1);
        assert_eq!(failing(|books| books.order = json!({})).len(), 6, "an answer without figures proves nothing");
    }
}
