//! Orders and products as callers see them.

mod found;

use serde::Serialize;
use utoipa::ToSchema;

pub(super) use self::found::{FoundOrders, FoundProducts, found_orders, found_products};
use super::schema;
use crate::{
    app::ports::{AuditedCustomer, AuditedOrder, Totals},
    domain::{
        order::{self, Order},
        product::Product,
        status::{Reason, Status},
    },
};

/// A product.
#[derive(Serialize, ToSchema)]
#[schema(as = Product, example = json!({
    "id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "sku": "MUG-1", "name": "Enamel mug", "description": "Holds 0.3 l.",
    "price": { "amount": 1450, "currency": "EUR" }, "available": 38, "version": 1
}))]
pub(super) struct ProductView {
    #[schema(format = "uuid")]
    id: String,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    sku: String,
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 5000)]
    description: String,
    #[schema(value_type = schema::Money)]
    price: money::Money,
    /// What can be ordered now.
    #[schema(minimum = 0)]
    available: i64,
    /// Raised by changes; sales and restocking do not.
    #[schema(minimum = 1)]
    version: u64,
}

impl From<Product> for ProductView {
    fn from(product: Product) -> Self {
        Self {
            id: product.id.to_string(),
            sku: product.sku.to_string(),
            name: product.name.to_string(),
            description: product.description.to_string(),
            price: product.price.money(),
            available: product.available,
            version: product.version,
        }
    }
}

/// An order.
#[derive(Serialize, ToSchema)]
#[schema(as = Order, example = json!({
    "id": "3f0c8a52-6a1e-5d0b-9c57-8e2b1f7d4a90", "user_id": "0198c9a5-0a3c-7f10-b2de-6c1a9e5d3b42",
    "status": "confirmed", "items": [{
        "product_id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "name": "Enamel mug", "quantity": 2,
        "unit_price": { "amount": 1450, "currency": "EUR" }
    }], "total": { "amount": 2900, "currency": "EUR" },
    "payment": { "id": "0198c9a7-11d2-7a44-8c3f-5e0b7d9a2f61", "status": "authorized" },
    "version": 2, "created_at": "2026-11-28T09:30:00.123456Z", "updated_at": "2026-11-28T09:30:00.234567Z"
}))]
pub(super) struct OrderView {
    #[schema(format = "uuid")]
    id: String,
    #[schema(format = "uuid")]
    user_id: String,
    #[schema(value_type = schema::OrderStatus)]
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<schema::Reason>, nullable = false)]
    reason: Option<&'static str>,
    items: Vec<ItemView>,
    #[schema(value_type = schema::Money)]
    total: money::Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    payment: Option<PaymentView>,
    #[schema(minimum = 1)]
    version: u64,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    created_at: String,
    /// RFC 3339, in UTC.
    #[schema(format = "date-time")]
    updated_at: String,
}

/// A line of an order, with name and price as they were when it was placed.
#[derive(Serialize, ToSchema)]
#[schema(as = Item)]
struct ItemView {
    #[schema(format = "uuid")]
    product_id: String,
    name: String,
    #[schema(minimum = 1, maximum = 999)]
    quantity: i64,
    #[schema(value_type = schema::Money)]
    unit_price: money::Money,
}

/// What is known of an order's payment.
#[derive(Serialize, ToSchema)]
#[schema(as = Payment)]
struct PaymentView {
    #[schema(format = "uuid")]
    id: String,
    #[schema(value_type = schema::PaymentStatus)]
    status: &'static str,
}

impl From<&Order> for OrderView {
    fn from(order: &Order) -> Self {
        let item = |item: &crate::domain::basket::Item| ItemView {
            product_id: item.product.to_string(),
            name: item.name.to_string(),
            quantity: item.quantity.pieces(),
            unit_price: item.unit_price,
        };
        Self {
            id: order.id.to_string(),
            user_id: order.user.to_string(),
            status: order.status.public_name(),
            reason: order.reason.map(Reason::name),
            items: order.items.iter().map(item).collect(),
            total: order.total,
            payment: order.payment.map(PaymentView::from),
            version: order.version,
            created_at: clock::rfc3339(order.created_at),
            updated_at: clock::rfc3339(order.updated_at),
        }
    }
}

impl From<order::Payment> for PaymentView {
    fn from(payment: order::Payment) -> Self {
        Self { id: payment.id.hyphenated().to_string(), status: payment.status.name() }
    }
}

/// A page of products.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is used")]
#[schema(example = json!({ "items": [{
    "id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "sku": "MUG-1", "name": "Enamel mug", "description": "Holds 0.3 l.",
    "price": { "amount": 1450, "currency": "EUR" }, "available": 38, "version": 1
}], "next_cursor": null }))]
pub(super) struct ProductPage {
    items: Vec<ProductView>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// A page of orders.
#[derive(ToSchema)]
#[expect(dead_code, reason = "only its shape is used")]
#[schema(example = json!({ "items": [], "next_cursor": null }))]
pub(super) struct OrderPage {
    items: Vec<OrderView>,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// The audit as the operators' tool reads it.
pub(super) fn audit(totals: &Totals) -> serde_json::Value {
    let by_status: serde_json::Map<_, _> =
        totals.orders.iter().map(|(status, n)| (status.clone(), (*n).into())).collect();
    let in_progress = |status: &str| Status::named(status).is_some_and(Status::is_in_progress);
    let unsettled: u64 = totals.orders.iter().filter(|(status, _)| in_progress(status)).map(|(_, n)| n).sum();
    let violations: Vec<_> = totals
        .violations
        .iter()
        .map(|v| {
            serde_json::json!({
                "product_id": v.product.to_string(), "available": v.available, "expected": v.expected,
            })
        })
        .collect();
    serde_json::json!({
        "orders": by_status,
        "unsettled": unsettled,
        "held": totals.held,
        "captured": totals.captured,
        "refunded": totals.refunded,
        "stock": { "products": totals.products, "violations": violations },
        "outbox": totals.outbox,
    })
}

/// An order as the operators' tool compares it.
pub(super) fn audited_order(order: &AuditedOrder) -> serde_json::Value {
    serde_json::json!({
        "id": order.id.to_string(),
        "user_id": order.user.to_string(),
        "status": order.status,
        "settled": Status::named(&order.status).is_some_and(|status| !status.is_in_progress()),
        "payment": order.payment.as_ref().map(|(id, status)| {
            serde_json::json!({ "id": id.to_string(), "status": status })
        }),
        "total": order.total,
        "lines": order.lines,
        "confirmed": order.confirmed,
    })
}

/// What a user's orders say, as the operators' tool compares it.
pub(super) fn customer(customer: &AuditedCustomer) -> serde_json::Value {
    serde_json::json!({
        "user_id": customer.user.to_string(),
        "confirmed": customer.confirmed,
        "unknown": customer.unknown,
        "open": customer.open,
    })
}
