//! What a webhook looks like, for the description: [`super::parse`] reads the same.

#![expect(dead_code, reason = "only its shape is used")]

use utoipa::ToSchema;

/// What the provider tells. Unknown members are ignored.
#[derive(ToSchema)]
#[serde(untagged)]
#[schema(as = Webhook, example = json!({
    "id": "evt_1", "type": "payment.authorized",
    "data": { "order_id": "3f0c8a52-6a1e-5d0b-9c57-8e2b1f7d4a90", "provider_reference": "ch_1" }
}))]
pub(super) enum WebhookBody {
    Payment(PaymentWebhook),
    Other(OtherWebhook),
}

/// Something happened to a payment.
#[derive(ToSchema)]
pub(super) struct PaymentWebhook {
    /// The same each time that it is delivered; remembered for at least 24 h.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    #[schema(pattern = r"^payment\.(authorized|captured|voided|refunded)$")]
    r#type: String,
    data: WebhookData,
}

/// Of any other type: it is taken and means nothing.
#[derive(ToSchema)]
pub(super) struct OtherWebhook {
    /// The same each time that it is delivered.
    #[schema(min_length = 1, max_length = 255)]
    id: String,
    #[schema(pattern = r"^(?!payment\.(authorized|captured|voided|refunded)$)[^\u0000-\u001f\u007f-\u009f]*$")]
    r#type: String,
}

/// The payment that a webhook is about.
#[derive(ToSchema)]
pub(super) struct WebhookData {
    #[schema(format = "uuid")]
    order_id: String,
    /// What the provider calls it.
    provider_reference: String,
}
