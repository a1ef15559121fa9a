//! What requests and answers look like, for the description: `body` reads and `view` writes the same.

#![expect(dead_code, reason = "only their shape is used")]

use utoipa::ToSchema;

/// Integer minor units of a currency: 1299 of EUR are 12.99 €.
#[derive(ToSchema)]
pub(super) struct Money {
    /// Minor units.
    amount: i64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// What a product costs.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Price {
    /// Minor units.
    #[schema(minimum = 1, maximum = 100_000_000)]
    amount: i64,
    /// ISO 4217.
    #[schema(pattern = "^[A-Z]{3}$")]
    currency: String,
}

/// A product to be added.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "sku": "MUG-1", "name": "Enamel mug", "description": "Holds 0.3 l.",
    "price": { "amount": 1450, "currency": "EUR" }, "stock": 40
}))]
pub(super) struct NewProduct {
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    sku: String,
    /// No control characters, and not only spaces.
    #[schema(
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    name: String,
    /// Line breaks and tabs are allowed, other control characters are not.
    #[schema(max_length = 5000, pattern = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$")]
    description: String,
    price: Price,
    #[schema(minimum = 0, maximum = 1_000_000_000)]
    stock: i64,
}

/// What is to change of a product; what is left out stays.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "price": { "amount": 1550, "currency": "EUR" } }))]
pub(super) struct ProductChange {
    /// No control characters, and not only spaces.
    #[schema(
        nullable = false,
        max_length = 200,
        pattern = r"^[^\u0000-\u001f\u007f-\u009f]*[^\u0000-\u001f\u007f-\u009f \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000][^\u0000-\u001f\u007f-\u009f]*$"
    )]
    name: Option<String>,
    /// Line breaks and tabs are allowed, other control characters are not.
    #[schema(
        nullable = false,
        max_length = 5000,
        pattern = r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$"
    )]
    description: Option<String>,
    #[schema(nullable = false)]
    price: Option<Price>,
}

/// What comes into stock.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "quantity": 20 }))]
pub(super) struct Restock {
    #[schema(minimum = 1, maximum = 1_000_000)]
    quantity: i64,
}

/// An order to be placed. Prices come from the catalogue.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "items": [{ "product_id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "quantity": 2 }], "payment_token": "tok_ok"
}))]
pub(super) struct NewOrder {
    /// Each product once.
    #[schema(min_items = 1, max_items = 50)]
    items: Vec<NewLine>,
    /// From the payment provider.
    #[schema(min_length = 1, max_length = 255, pattern = "^[!-~]+$")]
    payment_token: String,
}

/// A line of an order to be placed.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewLine {
    #[schema(format = "uuid")]
    product_id: String,
    #[schema(minimum = 1, maximum = 999)]
    quantity: i64,
}

/// What opens one stream.
#[derive(ToSchema)]
#[schema(example = json!({ "ticket": "b0nVQ4s9T1m2o3p4", "expires_in": 30 }))]
pub(super) struct StreamTicket {
    ticket: String,
    /// Seconds.
    #[schema(minimum = 1)]
    expires_in: u64,
}

/// An event of a stream (Server-Sent Events).
#[derive(ToSchema)]
#[schema(example = json!({
    "id": "7614bc586c24f492-4", "event": "stream.ready",
    "data": "{\"cursor\":\"7614bc586c24f492-4\",\"type\":\"stream.ready\"}"
}))]
pub(super) struct StreamEvent {
    /// What a client resumes after.
    id: String,
    /// The type of `data`.
    event: String,
    /// A JSON document: a CloudEvents 1.0 event, or what happened to the stream itself.
    data: String,
}

/// What has become of an order.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum OrderStatus {
    Pending,
    Confirmed,
    Rejected,
    Fulfilled,
    Cancelling,
    Cancelled,
    Refunding,
    Refunded,
}

/// Why an order was rejected or cancelled.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum Reason {
    PaymentDeclined,
    InsufficientFunds,
    PaymentUnavailable,
    CancelledByCustomer,
    CancelledByOperator,
    AccountClosed,
}

/// What has become of the money.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
pub(super) enum PaymentStatus {
    Authorized,
    Captured,
    Voided,
    Refunded,
    Declined,
}

/// How many orders of an account are still open.
#[derive(ToSchema)]
#[schema(example = json!({ "open_orders": 1 }))]
pub(super) struct OpenOrders {
    #[schema(minimum = 0)]
    open_orders: i64,
}

/// Sums over everything stored.
#[derive(ToSchema)]
#[schema(example = json!({
    "orders": { "fulfilled": 1 }, "unsettled": 0, "held": [], "captured": [{ "amount": 1450, "currency": "EUR" }],
    "refunded": [], "stock": { "products": 52, "violations": [] }, "outbox": 0
}))]
pub(super) struct Audit {
    /// How many there are of each status.
    orders: std::collections::BTreeMap<String, u64>,
    unsettled: u64,
    held: Vec<Money>,
    captured: Vec<Money>,
    refunded: Vec<Money>,
    stock: StockAudit,
    outbox: u64,
}

/// Whether the stock is what it should be.
#[derive(ToSchema)]
pub(super) struct StockAudit {
    products: u64,
    violations: Vec<StockViolation>,
}

/// A product whose stock is not what the orders say.
#[derive(ToSchema)]
pub(super) struct StockViolation {
    #[schema(format = "uuid")]
    product_id: String,
    available: i64,
    expected: i64,
}

/// A page of orders as they are stored.
#[derive(ToSchema)]
pub(super) struct AuditedOrders {
    orders: Vec<AuditedOrder>,
}

/// An order as it is stored.
#[derive(ToSchema)]
#[schema(example = json!({
    "id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "user_id": "0198c9a5-0f6e-7a21-9c3d-5e7f1a2b3c4d",
    "status": "fulfilled", "settled": true,
    "payment": { "id": "0198c9a6-5c01-7d00-9a2b-1f3e5d7c9b10", "status": "captured" },
    "total": { "amount": 1450, "currency": "EUR" }, "lines": 1450, "confirmed": true
}))]
pub(super) struct AuditedOrder {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "uuid")]
    user_id: String,
    /// Also the internal ones, and what this version does not know.
    status: String,
    /// Whether the status is known and nothing is left to do.
    settled: bool,
    /// Null before payment has answered, and where there is none.
    #[schema(required = true)]
    payment: Option<AuditedPayment>,
    total: Money,
    /// What the lines add up to; null where they cannot be read.
    #[schema(required = true)]
    lines: Option<i64>,
    /// Whether it was ever confirmed; null where nobody knows.
    #[schema(required = true)]
    confirmed: Option<bool>,
}

/// The payment of an order, as far as order knows.
#[derive(ToSchema)]
pub(super) struct AuditedPayment {
    #[schema(format = "uuid")]
    id: String,
    status: String,
}

/// A page of users who have ordered.
#[derive(ToSchema)]
pub(super) struct Customers {
    customers: Vec<Customer>,
}

/// What a user's orders say.
#[derive(ToSchema)]
#[schema(example = json!({ "user_id": "0198c9a5-0f6e-7a21-9c3d-5e7f1a2b3c4d", "confirmed": 3, "unknown": 0, "open": 1 }))]
pub(super) struct Customer {
    #[schema(format = "uuid")]
    user_id: String,
    /// Orders that were ever confirmed.
    confirmed: u64,
    /// Cancelled ones of which nobody knows whether they were.
    unknown: u64,
    /// Those that keep the account from being closed.
    open: u64,
}
