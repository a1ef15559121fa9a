//! Bodies of requests, read into values; every fault is named by its pointer.

use chassis::json::{self, Node, Object};
use error::Error;
use money::{Currency, Money};
use uuid::Uuid;

use crate::{
    app::create_product::NewProduct,
    domain::{
        basket::Line,
        ids::ProductId,
        product::Change,
        values::{Description, Name, PaymentToken, Price, Quantity, RestockQuantity, Sku, Stock},
    },
};

/// The most lines of an order.
const MAX_LINES: usize = 50;

/// The body of `POST /v1/orders`.
pub(in crate::api) fn order(body: &Node) -> Result<(Vec<Line>, PaymentToken), Error> {
    body.read(|order| {
        let lines = order.list("items", 1..=MAX_LINES, line);
        let token = order.required("payment_token", json::text(PaymentToken::parse));
        Some((lines?, token?))
    })
}

fn line(line: &mut Object<'_>) -> Option<Line> {
    let product = line.required("product_id", json::text(product_id));
    let quantity = line.required("quantity", json::integer(Quantity::parse));
    Some(Line { product: product?, quantity: quantity? })
}

fn product_id(text: &str) -> Result<ProductId, String> {
    match Uuid::try_parse(text) {
        Ok(id) if text.len() == 36 => Ok(ProductId(id)),
        _ => Err("must be a UUID".to_owned()),
    }
}

/// The body of `POST /v1/products`.
pub(super) fn product(body: &Node) -> Result<NewProduct, Error> {
    body.read(|product| {
        let sku = product.required("sku", json::text(Sku::parse));
        let name = product.required("name", json::text(Name::parse));
        let description = product.required("description", json::multiline(Description::parse));
        let price = product.object("price", price);
        let stock = product.required("stock", json::integer(Stock::parse));
        Some(NewProduct { sku: sku?, name: name?, description: description?, price: price?, stock: stock? })
    })
}

/// The body of `PATCH /v1/products/{id}`.
pub(super) fn change(body: &Node) -> Result<Change, Error> {
    body.read(|product| {
        let name = product.optional("name", json::text(Name::parse));
        let description = product.optional("description", json::multiline(Description::parse));
        let price = product.optional_object("price", price);
        Some(Change { name: name?, description: description?, price: price? })
    })
}

fn price(price: &mut Object<'_>) -> Option<Price> {
    let amount = price.required("amount", json::integer(Price::amount));
    let currency = price.required("currency", json::text(Currency::parse));
    Price::parse(Money::new(amount?, currency?)).ok()
}

/// The body of `POST /v1/products/{id}/restock`.
pub(super) fn restock(body: &Node) -> Result<RestockQuantity, Error> {
    body.read(|restock| restock.required("quantity", json::integer(RestockQuantity::parse)))
}
