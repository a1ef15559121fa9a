//! Orders and products as callers see them.

use serde::Serialize;

use crate::{
    app::ports::Totals,
    domain::{
        order::{self, Order},
        product::Product,
        status::Reason,
    },
};

/// A product.
#[derive(Serialize)]
pub(super) struct ProductView {
    id: String,
    sku: String,
    name: String,
    description: String,
    price: money::Money,
    available: i64,
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
#[derive(Serialize)]
pub(super) struct OrderView {
    id: String,
    user_id: String,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    items: Vec<ItemView>,
    total: money::Money,
    #[serde(skip_serializing_if = "Option::is_none")]
    payment: Option<PaymentView>,
    version: u64,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct ItemView {
    product_id: String,
    name: String,
    quantity: i64,
    unit_price: money::Money,
}

#[derive(Serialize)]
struct PaymentView {
    id: String,
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

/// The audit as the operators' tool reads it.
pub(super) fn audit(totals: &Totals) -> serde_json::Value {
    let by_status: serde_json::Map<_, _> =
        totals.orders.iter().map(|(status, n)| (status.name().to_owned(), (*n).into())).collect();
    let unsettled: u64 = totals.orders.iter().filter(|(s, _)| s.is_in_progress()).map(|(_, n)| n).sum();
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
