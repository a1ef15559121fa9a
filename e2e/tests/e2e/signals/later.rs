//! What is done later, in the background, is a trace of its own that is linked to what caused it.

use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::{Api, Cluster};
use http::Method;
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use proto::payment::v1::{AuthorizeRequest, ListPaymentsByOrderRequest, Money};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};
use tonic::Request;
use uuid::Uuid;

use super::{DEADLINE, order, payment, start, tree::Trace};
use crate::export::collector::Collector;

/// The traces of those who cause it, and whose span is linked to them.
const CAUSES: [(&str, &str, &str); 3] = [
    ("0af7651916cd43dd8448eb211c80319c", "order", "order.sweep"),
    ("1bf7651916cd43dd8448eb211c80319c", "payment", "payment.resolve"),
    ("2cf7651916cd43dd8448eb211c80319c", "user", "service.settle_closing"),
];

/// Leaves an order to order's sweeper, a payment to payment's, and the end of an account to user's: each is caused by a call
/// with one of these contexts. Returns the orders of the first two.
pub(super) async fn leave(cluster: &Cluster, collector: &Collector, causes: [&str; 3]) -> Result<[String; 2]> {
    let api = &Api::new(cluster)?;
    let account = api.sign_up().await?;
    api.get("order:/v1/orders", &account).await?;
    // Payment does not answer.
    cluster.signal("payment", SIGSTOP)?;
    let swept = order(api, &account, ("tok_ok", "swept"), &[("traceparent", causes[0])]).await?;
    swept_once(collector).await?;
    cluster.signal("payment", SIGCONT)?;
    let lost = lose(cluster, causes[1]).await?;
    // Order is not told in time that the account closes.
    cluster.signal("order", SIGSTOP)?;
    let bearer = format!("Bearer {}", account.token);
    let headers = [("authorization", bearer.as_str()), ("traceparent", causes[2])];
    let password = json!({"current_password": "correct horse battery"});
    let closing = api.send(Method::DELETE, "user:/v1/users/me", &headers, Some(&password)).await;
    cluster.signal("order", SIGCONT)?;
    let closing = closing?;
    ensure!(closing.status.as_u16() == 202, "{closing:?}");
    Ok([swept, lost])
}

/// Waits for order's sweeper: payment, once it goes on, would be faster.
async fn swept_once(collector: &Collector) -> Result<()> {
    let give_up = Instant::now() + DEADLINE;
    while !collector.seen().spans.iter().any(|span| span.name == "order.sweep") {
        ensure!(Instant::now() < give_up, "the order was not swept");
        sleep(DEADLINE / 100).await;
    }
    Ok(())
}

/// Has a payment authorized and hangs up while the provider takes its time: payment would find out what became of it.
async fn lose(cluster: &Cluster, cause: &str) -> Result<String> {
    let [order, user] = [Uuid::new_v4().to_string(), Uuid::new_v4().to_string()];
    let amount = Some(Money { amount: 100, currency: "EUR".to_owned() });
    let mut request = Request::new(AuthorizeRequest {
        order_id: order.clone(),
        user_id: user,
        amount,
        payment_token: "tok_slow".to_owned(),
    });
    request.metadata_mut().insert("traceparent", cause.parse()?);
    let mut client = payment::client(cluster).await?;
    // It was stopped, and does what it was asked meanwhile first.
    client.list_payments_by_order(ListPaymentsByOrderRequest { order_id: order.clone() }).await?;
    let answered = timeout(Duration::from_millis(700), client.authorize(request)).await;
    ensure!(answered.is_err(), "{answered:?}");
    Ok(order)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_later_is_linked_to_its_cause() -> Result<()> {
    let (cluster, collector) = start(&[]).await?;
    let parents = CAUSES.map(|(trace, ..)| format!("00-{trace}-00f067aa0ba902b7-01"));
    let [swept, lost] = leave(&cluster, &collector, parents.each_ref().map(String::as_str)).await?;
    let give_up = Instant::now() + DEADLINE;
    loop {
        let seen = collector.seen();
        let is_missing = |(trace, service, name): &&(&str, &str, &str)| {
            !Trace::of(&seen, trace).is_linked_from(&seen, service, name)
        };
        let missing: Vec<_> = CAUSES.iter().filter(is_missing).collect();
        if missing.is_empty() {
            break;
        }
        ensure!(Instant::now() < give_up, "{missing:?} is linked to nothing of its cause");
        sleep(DEADLINE / 400).await;
    }
    // Whoever asks for the order finds both.
    for (order, cause, name) in
        [(&swept, "POST /v1/orders", "order.sweep"), (&lost, "PaymentService/Authorize", "payment.resolve")]
    {
        let shown = cluster.tool(&["trace", order])?;
        assert!(shown.contains(cause) && shown.contains(name), "{shown}");
    }
    Ok(())
}
