//! The provider's webhook: believed only with a good signature, and even then it only makes us look.

pub mod signature;

use axum::{Router, extract::State, routing::post};
use chassis::http::Payload;
use clock::SharedClock;
use error::{Error, Kind, Violation};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use uuid::Uuid;

use self::signature::Signatures;
use crate::{
    app::{Cashier, ports::WebhookId},
    domain::OrderId,
};

/// Longest id that a webhook may have.
const ID_LENGTH: usize = 255;

const TYPES: [&str; 4] = ["payment.authorized", "payment.captured", "payment.voided", "payment.refunded"];

#[derive(Debug, Clone)]
struct Webhooks {
    cashier: Cashier,
    signatures: Signatures,
    clock: SharedClock,
}

/// The routes of payment.
pub fn router(cashier: Cashier, webhook_secret: &str, clock: SharedClock) -> Router {
    let signatures = Signatures::new(webhook_secret);
    Router::new().route("/v1/webhooks/sandbox", post(sandbox)).with_state(Webhooks { cashier, signatures, clock })
}

async fn sandbox(State(webhooks): State<Webhooks>, headers: HeaderMap, body: Payload) -> Result<StatusCode, Error> {
    let signature = webhooks.signatures.read(&headers, webhooks.clock.now())?;
    let body = body.bytes().await?;
    webhooks.signatures.check(&signature, &body)?;
    let Webhook { id, order } = parse(&headers, &body)?;
    match order {
        Some(order) => webhooks.cashier.reconcile(order, id).await?,
        None => webhooks.cashier.acknowledge(id).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What a webhook says: its id and, where its type means something to us, the order.
#[derive(Debug, PartialEq, Eq)]
struct Webhook {
    id: WebhookId,
    order: Option<OrderId>,
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Webhook, Error> {
    if !is_json(headers) {
        return Err(Error::new(Kind::UnsupportedMedia, "send application/json"));
    }
    let document: Value =
        serde_json::from_slice(body).map_err(|_| Error::new(Kind::Malformed, "the body is not JSON"))?;
    if !document.is_object() {
        return Err(Error::invalid_field("", "must be an object"));
    }
    let mut faults = Vec::new();
    let id = text(&document, "/id", &mut faults).filter(|id| {
        (1..=ID_LENGTH).contains(&id.len()) || {
            faults.push(Violation::field("/id", "must be 1 to 255 bytes long"));
            false
        }
    });
    let known = text(&document, "/type", &mut faults).is_some_and(|kind| TYPES.contains(&kind));
    let order = if known { order(&document, &mut faults) } else { None };
    match id {
        Some(id) if faults.is_empty() => Ok(Webhook { id: WebhookId(id.to_owned()), order }),
        _ => Err(Error::invalid(faults)),
    }
}

fn order(document: &Value, faults: &mut Vec<Violation>) -> Option<OrderId> {
    if !document.get("data").is_some_and(Value::is_object) {
        faults.push(Violation::field("/data", "must be an object"));
        return None;
    }
    text(document, "/data/provider_reference", faults);
    let id = Uuid::try_parse(text(document, "/data/order_id", faults)?);
    if id.is_err() {
        faults.push(Violation::field("/data/order_id", "must be a UUID"));
    }
    id.ok().map(OrderId::from)
}

fn text<'v>(document: &'v Value, pointer: &str, faults: &mut Vec<Violation>) -> Option<&'v str> {
    let text = document.pointer(pointer).and_then(Value::as_str);
    if text.is_none() {
        faults.push(Violation::field(pointer, "must be a text"));
    }
    text
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media| media.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    fn parsed(document: &Value) -> Result<Webhook, Vec<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        parse(&headers, document.to_string().as_bytes()).map_err(|error| {
            let places = error.violations().iter().map(|fault| match &fault.place {
                error::Place::Pointer(pointer) => pointer.clone(),
                other => format!("{other:?}"),
            });
            places.collect()
        })
    }

    #[test]
    fn a_known_type_names_its_order_and_more_fields_do_not_matter() {
        let order = Uuid::now_v7();
        let document = json!({
            "id": "evt_1", "type": "payment.captured", "livemode": false,
            "data": {"order_id": order, "provider_reference": "ch_1", "extra": [1]},
        });
        let webhook = parsed(&document).unwrap();
        assert_eq!(webhook.id, WebhookId("evt_1".into()));
        assert_eq!(webhook.order, Some(order.into()));
    }

    #[test]
    fn an_unknown_type_needs_no_data() {
        let webhook = parsed(&json!({"id": "evt_1", "type": "payout.paid"})).unwrap();
        assert_eq!(webhook.order, None);
    }

    #[test]
    fn every_bad_field_is_named() {
        let document = json!({"id": 7, "type": "payment.voided", "data": {"order_id": "x"}});
        let places = parsed(&document).unwrap_err();
        assert_eq!(places, ["/id", "/data/provider_reference", "/data/order_id"]);
        assert_eq!(parsed(&json!([])).unwrap_err(), [""]);
        assert_eq!(parsed(&json!({"id": "", "type": "payment.voided"})).unwrap_err(), ["/id", "/data"]);
    }
}
