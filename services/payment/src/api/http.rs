//! The provider's webhook: accepted only with a valid signature, and even then no more than a reason to ask the provider.

mod schema;
pub mod signature;

use std::sync::Arc;

use axum::{Router, extract::State};
use chassis::{
    http::Payload,
    openapi::{self, About},
};
use clock::SharedClock;
use error::{Error, Problem, Violation};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use serde_json::Value;
use utoipa_axum::{router::OpenApiRouter, routes};
use uuid::Uuid;

use self::{schema::WebhookBody, signature::SigningKey};
use crate::{
    app::{App, ports::WebhookId},
    domain::OrderId,
};

const ABOUT: About = About {
    title: "Trireme payment",
    description: "What the payment provider tells. Payments themselves are commanded over gRPC.",
    tags: &[("webhooks", "For the payment provider.")],
};

/// Longest id that a webhook may have, in bytes.
const MAX_ID_LENGTH: usize = 255;

/// The types that concern payments.
const TYPES: [&str; 4] = ["payment.authorized", "payment.captured", "payment.voided", "payment.refunded"];

#[derive(Debug, Clone)]
struct Webhooks {
    app: Arc<App>,
    key: SigningKey,
    clock: SharedClock,
}

/// The routes of payment.
pub fn router(app: Arc<App>, webhook_secret: &str, clock: SharedClock) -> Router {
    let key = SigningKey::new(webhook_secret);
    openapi::serve(ABOUT, OpenApiRouter::new().routes(routes!(sandbox))).with_state(Webhooks { app, key, clock })
}

/// Takes what the sandbox provider tells
///
/// It is a reason to ask the provider, and is never believed. Delivered again it has no further effect.
#[utoipa::path(
    post, path = "/v1/webhooks/sandbox", operation_id = "receiveSandboxWebhook", tag = "webhooks",
    security(("signature" = [])), request_body = WebhookBody,
    responses((status = 204, description = "Taken, also where the order or the type is not known.")),
)]
async fn sandbox(State(webhooks): State<Webhooks>, headers: HeaderMap, body: Payload) -> Result<StatusCode, Error> {
    let signature = webhooks.key.read(&headers, webhooks.clock.now())?;
    // Only then the body: a request without a plausible signature is refused before anything of it is kept.
    let body = body.bytes().await?;
    webhooks.key.verify(&signature, &body).await?;
    let Webhook { id, order } = parse(&headers, &body)?;
    match order {
        Some(order) => webhooks.app.reconcile(order, id).await?,
        None => webhooks.app.acknowledge(id).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// What is read of a webhook: its id and, where its type concerns payments, the order.
#[derive(Debug, PartialEq, Eq)]
struct Webhook {
    id: WebhookId,
    order: Option<OrderId>,
}

fn parse(headers: &HeaderMap, body: &[u8]) -> Result<Webhook, Error> {
    if !is_json(headers) {
        return Err(Error::new(Problem::UnsupportedMediaType, "send application/json"));
    }
    let document: Value =
        serde_json::from_slice(body).map_err(|_| Error::new(Problem::MalformedBody, "the body is not JSON"))?;
    if !document.is_object() {
        return Err(Error::invalid_field("", "must be an object"));
    }
    let mut violations = Vec::new();
    let id = text(&document, "/id", &mut violations).filter(|id| {
        (1..=MAX_ID_LENGTH).contains(&id.len()) || {
            violations.push(Violation::field("/id", "must be 1 to 255 bytes long"));
            false
        }
    });
    let known = text(&document, "/type", &mut violations).is_some_and(|kind| TYPES.contains(&kind));
    let order = if known { order(&document, &mut violations) } else { None };
    match id {
        Some(id) if violations.is_empty() => Ok(Webhook { id: WebhookId(id.to_owned()), order }),
        _ => Err(Error::invalid(violations)),
    }
}

fn order(document: &Value, violations: &mut Vec<Violation>) -> Option<OrderId> {
    if !document.get("data").is_some_and(Value::is_object) {
        violations.push(Violation::field("/data", "must be an object"));
        return None;
    }
    text(document, "/data/provider_reference", violations);
    let id = Uuid::try_parse(text(document, "/data/order_id", violations)?);
    if id.is_err() {
        violations.push(Violation::field("/data/order_id", "must be a UUID"));
    }
    id.ok().map(OrderId::from)
}

fn text<'v>(document: &'v Value, pointer: &str, violations: &mut Vec<Violation>) -> Option<&'v str> {
    let text = document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.contains(char::is_control));
    if text.is_none() {
        violations.push(Violation::field(pointer, "must be a text without control characters"));
    }
    text
}

fn is_json(headers: &HeaderMap) -> bool {
    headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|media_type| media_type.trim().eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use serde_json::json;

    use super::*;

    /// A webhook as it is read, or the pointers of its violations.
    fn parsed(document: &Value) -> Result<Webhook, Vec<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        parse(&headers, document.to_string().as_bytes()).map_err(|error| {
            let pointers = error.violations().iter().map(|violation| match &violation.location {
                error::Location::Pointer(pointer) => pointer.clone(),
                other => format!("{other:?}"),
            });
            pointers.collect()
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
        let pointers = parsed(&document).unwrap_err();
        assert_eq!(pointers, ["/id", "/data/provider_reference", "/data/order_id"]);
        assert_eq!(parsed(&json!([])).unwrap_err(), [""]);
        // PostgreSQL does not store a NUL, and the provider would repeat it for ever.
        assert_eq!(parsed(&json!({"id": "\0", "type": "payout.paid"})).unwrap_err(), ["/id"]);
        assert_eq!(parsed(&json!({"id": "", "type": "payment.voided"})).unwrap_err(), ["/id", "/data"]);
    }
}
