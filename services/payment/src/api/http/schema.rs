//! What a webhook looks like, for the description: [`super::parse`] reads the same.

#![expect(dead_code, reason = "only its shape is used")]

use utoipa::ToSchema;

/// Something happened to a payment. Unknown members are ignored.
#[derive(ToSchema)]
#[schema(as = Webhook, example = json!({
    "id": "evt_1", "type": "payment.authorized",
    "data": { "order_id": "3f0c8a52-6a1e-5d0b-9c57-8e2b1f7d4a90", "provider_reference": "ch_1" }
}))]
pub(super) struct WebhookBody {
    /// The same each time that it is delivered; remembered for at least 24 h.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    /// `payment.authorized`, `captured`, `voided` or `refunded`; others are taken and mean nothing.
    r#type: String,
    /// What it is about: needed where the type is one of these four.
    #[schema(nullable = false)]
    data: Option<WebhookData>,
}

/// The payment that a webhook is about.
#[derive(ToSchema)]
pub(super) struct WebhookData {
    #[schema(format = "uuid")]
    order_id: String,
    /// What the provider calls it.
    provider_reference: String,
}
