//! Products and orders as documents; the fields are those of `search/*.json`.

use clock::micros;
use elasticsearch::Document;
use serde_json::json;

use crate::domain::{order::Order, product::Product};

pub(super) fn product(product: &Product) -> Document {
    let price = product.price.money();
    let id = product.id.to_string();
    let fields = json!({
        "id": id,
        "sku": product.sku.as_str(),
        "name": product.name.as_str(),
        "description": product.description.as_str(),
        "price": price.amount,
        "currency": price.currency.code(),
        "created_at": micros(product.created_at),
    });
    Document { id, version: product.version, fields }
}

pub(super) fn order(order: &Order) -> Document {
    let id = order.id.to_string();
    let fields = json!({
        "id": id,
        "user_id": order.user.to_string(),
        "status": order.status.public_name(),
        "names": order.items.iter().map(|item| item.name.as_str()).collect::<Vec<_>>(),
        "product_ids": order.items.iter().map(|item| item.product.to_string()).collect::<Vec<_>>(),
        "total": order.total.amount,
        "currency": order.total.currency.code(),
        "created_at": micros(order.created_at),
    });
    Document { id, version: order.version, fields }
}
