//! What was found, as callers see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::{OrderView, ProductView};
use crate::{
    api::search::{highlight, texts},
    app::{ports::search::Facet, search::Searched},
    domain::{order::Order, product::Product, search::Query},
};

/// How many of all that was found have a value.
#[derive(Serialize, ToSchema)]
#[schema(as = Count)]
pub(super) struct CountView {
    /// Such as `EUR`, `1000-2499` or `confirmed`.
    value: String,
    #[schema(minimum = 1)]
    count: u64,
}

type Facets = BTreeMap<&'static str, Vec<CountView>>;

/// A product that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundProduct)]
struct FoundProductView {
    product: ProductView,
    /// By field, `sku`, `name` or `description`, the text as HTML, in which what was searched for is marked with `em`.
    highlights: BTreeMap<&'static str, String>,
}

/// A page of products that were found.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [{ "product": {
        "id": "0198c9a6-5b7e-7c31-8f5a-2d9f4a1b6c70", "sku": "MUG-1", "name": "Enamel mug", "description": "Holds 0.3 l.",
        "price": { "amount": 1450, "currency": "EUR" }, "available": 38, "version": 1
    }, "highlights": { "name": "Enamel <em>mug</em>" } }],
    "total": 1, "facets": { "currency": [{ "value": "EUR", "count": 1 }], "price": [{ "value": "1000-2499", "count": 1 }] },
    "degraded": false, "next_cursor": null
}))]
pub(in crate::api::http) struct FoundProducts {
    items: Vec<FoundProductView>,
    /// How many there are; no more than 10,000 are counted.
    #[schema(minimum = 0, maximum = 10_000)]
    total: u64,
    /// How many of them have which `currency`, and a `price` from and to so many minor units.
    #[schema(value_type = BTreeMap<String, Vec<CountView>>)]
    facets: Facets,
    /// Whether the search server did not answer, and the store's own search did.
    degraded: bool,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// An order that was found.
#[derive(Serialize, ToSchema)]
#[schema(as = FoundOrder)]
struct FoundOrderView {
    order: OrderView,
    /// The names of what was ordered that have what was searched for, as HTML, in which it is marked with `em`.
    highlights: Vec<String>,
}

/// A page of orders that were found.
#[derive(Serialize, ToSchema)]
#[schema(example = json!({
    "items": [], "total": 0, "facets": { "currency": [], "status": [] }, "next_cursor": null
}))]
pub(in crate::api::http) struct FoundOrders {
    items: Vec<FoundOrderView>,
    /// How many there are; no more than 10,000 are counted.
    #[schema(minimum = 0, maximum = 10_000)]
    total: u64,
    /// How many of them have which `status` and `currency`.
    #[schema(value_type = BTreeMap<String, Vec<CountView>>)]
    facets: Facets,
    /// The `cursor` of the next page; null on the last one.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// Products that were found.
pub(in crate::api::http) fn found_products(
    found: Searched<Product>,
    query: &Query,
    degraded: bool,
    next_cursor: Option<String>,
) -> FoundProducts {
    let by = found.by;
    let item = |product: Product| {
        let marked = texts(&product).into_iter().filter_map(|(field, text)| Some((field, highlight(text, query, by)?)));
        FoundProductView { highlights: marked.collect(), product: product.into() }
    };
    FoundProducts {
        items: found.items.into_iter().map(|(product, _)| item(product)).collect(),
        total: found.total,
        facets: facets(found.facets),
        degraded,
        next_cursor,
    }
}

/// Orders that were found.
pub(in crate::api::http) fn found_orders(
    found: Searched<Order>,
    query: &Query,
    next_cursor: Option<String>,
) -> FoundOrders {
    let by = found.by;
    let item = |order: &Order| FoundOrderView {
        order: order.into(),
        highlights: order.items.iter().filter_map(|item| highlight(item.name.as_str(), query, by)).collect(),
    };
    FoundOrders {
        items: found.items.iter().map(|(order, _)| item(order)).collect(),
        total: found.total,
        facets: facets(found.facets),
        next_cursor,
    }
}

fn facets(facets: Vec<Facet>) -> Facets {
    let counts = |facet: Facet| facet.counts.into_iter().map(|(value, count)| CountView { value, count }).collect();
    facets.into_iter().map(|facet| (facet.name, counts(facet))).collect()
}
