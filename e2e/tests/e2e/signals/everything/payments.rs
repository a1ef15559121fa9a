//! What is asked of payment by other services, and told by its provider.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, Result, ensure};
use aws_lc_rs::hmac;
use e2e::Cluster;
use http::Method;
use proto::payment::v1::{AuditRequest, GetPaymentRequest, ListPaymentsByOrderRequest};
use serde_json::json;
use trireme::http::Http;

use crate::signals::{payment, tree::hex};

/// Reads whatever there is of an order's payment, and has the provider tell something of it.
pub(super) async fn all(cluster: &Cluster, order: &str) -> Result<()> {
    let mut client = payment::client(cluster).await?;
    let order_id = order.to_owned();
    let listed = client.list_payments_by_order(ListPaymentsByOrderRequest { order_id }).await?.into_inner();
    let id = listed.payments.first().context("no payment")?.id.clone();
    client.get_payment(GetPaymentRequest { id }).await?;
    client.audit(AuditRequest {}).await?;
    webhook(cluster, order).await
}

async fn webhook(cluster: &Cluster, order: &str) -> Result<()> {
    let url = format!("{}/v1/webhooks/sandbox", cluster.process("payment")?.http);
    let secret = fs::read_to_string(cluster.data().join("webhook.secret"))?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.trim_end().as_bytes());
    let data = json!({"order_id": order, "provider_reference": "ch_1"});
    let body = json!({"id": "evt_1", "type": "payment.refunded", "data": data});
    let time = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let code = hmac::sign(&key, format!("{time}.{body}").as_bytes());
    let signature = format!("t={time},v1={}", hex(code.as_ref()));
    let told = Http::new().send(Method::POST, &url, &[("webhook-signature", &signature)], Some(&body)).await?;
    ensure!(told.status.as_u16() == 204, "{told:?}");
    Ok(())
}
