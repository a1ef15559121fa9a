//! `trireme verify`: the services' own books, compared.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context as _, Result, ensure};
use auth::{CREDENTIAL_HEADER, Credential};
use http::{Method, StatusCode};
use proto::payment::v1::{AuditRequest, AuditResponse, Money, payment_service_client::PaymentServiceClient};
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tonic::{metadata::MetadataValue, transport::Endpoint};

use crate::{
    folder::Folder,
    http::Client,
    state::State,
    terminal::{BOLD, GREEN, RED},
};

/// Work under way makes the books differ for a moment; it is waited for this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line of the proof.
#[derive(Debug)]
struct Check {
    what: &'static str,
    found: String,
    holds: bool,
}

/// Prints the proof.
///
/// # Errors
///
/// Something does not add up.
pub(crate) async fn verify(folder: &Folder) -> Result<()> {
    let give_up = Instant::now() + PATIENCE;
    let checks = loop {
        let checks = checks(folder).await?;
        if checks.iter().all(|check| check.holds) || Instant::now() > give_up {
            break checks;
        }
        sleep(Duration::from_millis(200)).await;
    };
    anstream::println!("{BOLD}{:<48} found{BOLD:#}", "what has to hold");
    for check in &checks {
        let (mark, style) = if check.holds { ("ok", GREEN) } else { ("WRONG", RED) };
        anstream::println!("{:<48} {:<40} {style}{mark}{style:#}", check.what, check.found);
    }
    let wrong = checks.iter().filter(|check| !check.holds).count();
    ensure!(wrong == 0, "{wrong} of {} checks do not hold", checks.len());
    Ok(())
}

async fn checks(folder: &Folder) -> Result<Vec<Check>> {
    let state = State::running(folder)?;
    let credential = Credential::new(&folder.secret("service.credential")?, "trireme");
    let shown = credential.header_value();
    let shown = shown.to_str()?;
    let user = ask(&format!("{}/internal/v1/audit", state.service("user")?.http), shown).await?;
    let order = ask(&format!("{}/internal/v1/audit", state.service("order")?.http), shown).await?;
    let payment = ledger(&state.service("payment")?.grpc, shown).await?;
    Ok(compare(&user, &order, &payment))
}

async fn ask(url: &str, credential: &str) -> Result<Value> {
    let answer = Client::default().send(Method::GET, url, &[(CREDENTIAL_HEADER, credential)], None).await;
    let answer = answer.with_context(|| format!("{url} cannot be asked; `trireme status` says what runs"))?;
    ensure!(answer.status == StatusCode::OK, "{url} answered {}", answer.status);
    Ok(answer.body)
}

async fn ledger(grpc: &str, credential: &str) -> Result<AuditResponse> {
    let channel = Endpoint::from_shared(grpc.to_owned())?.timeout(PATIENCE).connect().await;
    let channel = channel.with_context(|| format!("payment at {grpc} cannot be asked; `trireme status` says what runs"))?;
    let mut request = tonic::Request::new(AuditRequest {});
    request.metadata_mut().insert(CREDENTIAL_HEADER, MetadataValue::try_from(credential)?);
    Ok(PaymentServiceClient::new(channel).audit(request).await?.into_inner())
}

type Sums = BTreeMap<String, i64>;

/// What order says, by currency.
fn ordered(sums: &Value) -> Sums {
    let sums = sums.as_array().into_iter().flatten();
    let read = |sum: &Value| Some((sum["currency"].as_str()?.to_owned(), sum["amount"].as_i64()?));
    sums.filter_map(read).filter(|(_, amount)| *amount != 0).collect()
}

/// What the ledger says, by currency.
fn booked(sums: &[Money]) -> Sums {
    sums.iter().filter(|sum| sum.amount != 0).map(|sum| (sum.currency.clone(), sum.amount)).collect()
}

fn show(sums: &Sums) -> String {
    let shown = sums.iter().map(|(currency, amount)| format!("{amount} {currency}"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    if shown.is_empty() { "nothing".to_owned() } else { shown }
}

fn none(what: &'static str, count: u64) -> Check {
    Check { what, found: count.to_string(), holds: count == 0 }
}

fn same(what: &'static str, ordered: &Sums, booked: &Sums) -> Check {
    let holds = ordered == booked;
    let found = if holds { show(booked) } else { format!("orders {}, ledger {}", show(ordered), show(booked)) };
    Check { what, found, holds }
}

fn compare(user: &Value, order: &Value, payment: &AuditResponse) -> Vec<Check> {
    let violations = order["stock"]["violations"].as_array().map_or(1, Vec::len);
    let outboxes = [user["outbox"].as_u64(), order["outbox"].as_u64(), Some(payment.outbox)];
    let waiting = outboxes.into_iter().map(|count| count.unwrap_or(1)).sum();
    vec![
        none("ledger transactions that do not sum to zero", payment.unbalanced),
        none("payments charged twice at the provider", payment.charged_twice),
        none("payment operations without an outcome", payment.unresolved),
        same("money captured = orders fulfilled", &ordered(&order["captured"]), &booked(&payment.captured)),
        same("money refunded = orders refunded", &ordered(&order["refunded"]), &booked(&payment.refunded)),
        none("products whose stock does not add up", u64::try_from(violations).unwrap_or(u64::MAX)),
        none("orders on their way", order["unsettled"].as_u64().unwrap_or(1)),
        none("events not yet published", waiting),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn books() -> (Value, Value, AuditResponse) {
        let sums = json!([{"currency": "EUR", "amount": 500}]);
        let order = json!({"captured": sums, "refunded": [], "stock": {"violations": []}, "unsettled": 0, "outbox": 0});
        let captured = vec![Money { amount: 500, currency: "EUR".into() }];
        (json!({"outbox": 0}), order, AuditResponse { captured, ..AuditResponse::default() })
    }

    fn wrong((user, order, payment): (Value, Value, AuditResponse)) -> Vec<&'static str> {
        let wrong = compare(&user, &order, &payment).into_iter().filter(|check| !check.holds);
        wrong.map(|check| check.what).collect()
    }

    #[test]
    fn good_books_hold() {
        assert!(wrong(books()).is_empty());
    }

    #[test]
    fn each_fault_is_found() {
        let (user, order, mut payment) = books();
        payment.captured[0].amount = 499;
        payment.unbalanced = 1;
        payment.charged_twice = 1;
        assert_eq!(wrong((user.clone(), order, payment.clone())).len(), 3);
        let (_, mut order, payment) = books();
        order["stock"]["violations"] = json!(["x"]);
        order["unsettled"] = json!(2);
        assert_eq!(wrong((user, order, payment)).len(), 2);
    }

    #[test]
    fn an_answer_that_lacks_a_number_proves_nothing() {
        let (_, _, payment) = books();
        assert_eq!(wrong((json!({}), json!({}), payment)).len(), 4);
    }
}
