//! The search, with its facets and what is highlighted.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, SimpleObject};
use error::Error;

use super::{
    connection::{PageInfo, page},
    context::{app, caller, id},
    types::{Long, Order, Product},
};
use crate::{
    api::search,
    app::{
        customers::CustomerBatch,
        ports::search::{self as port, OrderSearch, ProductSearch},
        search::{Searched, Searcher},
    },
    domain::{order, product, search::Query},
};

/// Which products are searched for; what is left out narrows nothing.
#[derive(InputObject, Default)]
pub(super) struct ProductFilter {
    /// Words, 16 at most, that sku, name or description have, or that begin so; on a search server they may be misspelt.
    query: Option<String>,
    /// Only prices in this currency.
    currency: Option<String>,
    /// The lowest price, in minor units.
    min_price: Option<Long>,
    /// The highest price, in minor units.
    max_price: Option<Long>,
}

/// Which orders are searched for; what is left out narrows nothing.
#[derive(InputObject, Default)]
pub(super) struct OrderFilter {
    /// Words, 16 at most, of the names of what was ordered, or their beginnings, misspelt perhaps.
    query: Option<String>,
    /// Only orders with one of these statuses, in lower case and separated by commas.
    status: Option<String>,
    /// Only this person's.
    user_id: Option<ID>,
    /// Only those with this product.
    product_id: Option<ID>,
}

/// What products come by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "port::ProductSort")]
pub(super) enum ProductSort {
    /// How well they fit.
    Relevance,
    /// The lowest price first.
    PriceUp,
    /// The highest price first.
    PriceDown,
    /// The latest in the catalogue first.
    Newest,
}

/// What orders come by.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "port::OrderSort")]
pub(super) enum OrderSort {
    /// The latest first.
    Newest,
    /// The earliest first.
    Oldest,
    /// The lowest total first.
    TotalUp,
    /// The highest total first.
    TotalDown,
}

/// A text that has what was searched for.
#[derive(SimpleObject)]
#[graphql(serial)]
struct Highlight {
    /// Where it stands.
    field: &'static str,
    /// The text as HTML, in which what was searched for is marked with `em`.
    html: String,
}

/// How many of all that was found have a value.
#[derive(SimpleObject)]
#[graphql(serial)]
struct Count {
    value: String,
    count: Long,
}

/// How many of all that was found have each value of something.
#[derive(SimpleObject)]
#[graphql(serial)]
struct Facet {
    name: &'static str,
    counts: Vec<Count>,
}

/// A product that was found.
#[derive(SimpleObject)]
#[graphql(serial)]
struct FoundProductEdge {
    /// The product as it is now.
    node: Product,
    /// Where it is in the list.
    cursor: String,
    highlights: Vec<Highlight>,
}

/// A page of products that were found.
#[derive(SimpleObject)]
#[graphql(serial)]
pub(super) struct FoundProductConnection {
    edges: Vec<FoundProductEdge>,
    /// Where the page begins and ends.
    page_info: PageInfo,
    /// How many there are; no more than 10,000 are counted.
    total_count: Long,
    facets: Vec<Facet>,
    /// Whether the search server did not answer, and the store's own search did.
    degraded: bool,
}

/// An order that was found.
#[derive(SimpleObject)]
#[graphql(serial)]
struct FoundOrderEdge {
    /// The order as it is now.
    node: Order,
    /// Where it is in the list.
    cursor: String,
    highlights: Vec<Highlight>,
}

/// A page of orders that were found.
#[derive(SimpleObject)]
#[graphql(serial)]
pub(super) struct FoundOrderConnection {
    edges: Vec<FoundOrderEdge>,
    /// Where the page begins and ends.
    page_info: PageInfo,
    /// How many there are; no more than 10,000 are counted.
    total_count: Long,
    facets: Vec<Facet>,
}

/// Which page is asked for, and what it comes by.
pub(super) struct Wanted<S> {
    pub(super) sort: Option<S>,
    pub(super) first: Option<i32>,
    pub(super) after: Option<String>,
}

pub(super) async fn products(
    ctx: &Context<'_>,
    filter: Option<ProductFilter>,
    wanted: Wanted<ProductSort>,
) -> Result<FoundProductConnection, Error> {
    let filter = filter.unwrap_or_default();
    let amount = |name, amount: Option<Long>| search::price(name, amount.map(|amount| amount.0));
    let mut asked = ProductSearch {
        query: search::query(filter.query.as_deref().unwrap_or_default())?,
        currency: search::currency(filter.currency.as_deref())?,
        min_price: amount("minPrice", filter.min_price)?,
        max_price: amount("maxPrice", filter.max_price)?,
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        ..ProductSearch::default()
    };
    let page = page(wanted.first, wanted.after.as_deref())?;
    let began = search::products_after(&mut asked, &page, "after")?;
    let found = app(ctx).search_products(&asked, began).await?;
    let sort = search::sort_name(&asked.sort, &search::PRODUCT_SORTS);
    let (by, page_info, cursors) = ends(&found, sort, page.cursor.is_some());
    let edge = |(product, cursor): (product::Product, String)| FoundProductEdge {
        highlights: product_highlights(&product, &asked.query, by),
        node: Product(product),
        cursor,
    };
    Ok(FoundProductConnection {
        total_count: Long::of(found.total),
        facets: facets(found.facets),
        degraded: app(ctx).is_degraded(by),
        edges: found.items.into_iter().map(|(product, _)| product).zip(cursors).map(edge).collect(),
        page_info,
    })
}

pub(super) async fn orders(
    ctx: &Context<'_>,
    filter: Option<OrderFilter>,
    wanted: Wanted<OrderSort>,
) -> Result<FoundOrderConnection, Error> {
    let (caller, filter) = (caller(ctx)?, filter.unwrap_or_default());
    caller.must_operate()?;
    let mut asked = OrderSearch {
        query: search::query(filter.query.as_deref().unwrap_or_default())?,
        statuses: filter.status.as_deref().map(search::statuses).transpose()?.unwrap_or_default(),
        user: filter.user_id.map(|user| id(&user, "account")).transpose()?,
        product: filter.product_id.map(|product| id(&product, "product")).transpose()?,
        sort: wanted.sort.map(Into::into).unwrap_or_default(),
        ..OrderSearch::default()
    };
    let page = page(wanted.first, wanted.after.as_deref())?;
    search::orders_after(&mut asked, &page, "after")?;
    let found = app(ctx).search_orders(caller, &asked).await?;
    let sort = search::sort_name(&asked.sort, &search::ORDER_SORTS);
    let (by, page_info, cursors) = ends(&found, sort, page.cursor.is_some());
    let customers = Arc::new(CustomerBatch::new(caller, found.items.iter().map(|(order, _)| order.user)));
    let edge = |(order, cursor): (order::Order, String)| FoundOrderEdge {
        highlights: order_highlights(&order, &asked.query, by),
        node: Order { order, customers: Arc::clone(&customers) },
        cursor,
    };
    Ok(FoundOrderConnection {
        total_count: Long::of(found.total),
        facets: facets(found.facets),
        edges: found.items.into_iter().map(|(order, _)| order).zip(cursors).map(edge).collect(),
        page_info,
    })
}

/// Who has searched, where the page begins and ends, and the cursors of its items.
fn ends<T>(found: &Searched<T>, sort: &str, has_previous: bool) -> (Searcher, PageInfo, Vec<String>) {
    let seal = |rank| chassis::http::Page::seal(&search::position(found.by, sort, rank));
    let cursors: Vec<String> = found.items.iter().map(|(_, rank)| seal(*rank)).collect();
    // What was found and is not there any more is passed by as well.
    let end = found.next.map(seal).or_else(|| cursors.last().cloned());
    let page_info = PageInfo::new(found.next.is_some(), has_previous, cursors.first().cloned(), end);
    (found.by, page_info, cursors)
}

fn product_highlights(product: &product::Product, query: &Query, by: Searcher) -> Vec<Highlight> {
    let texts = search::texts(product).into_iter();
    texts.filter_map(|(field, text)| Some(Highlight { field, html: search::highlight(text, query, by)? })).collect()
}

fn order_highlights(order: &order::Order, query: &Query, by: Searcher) -> Vec<Highlight> {
    let names = order.items.iter().map(|item| item.name.as_str());
    names.filter_map(|name| Some(Highlight { field: "items", html: search::highlight(name, query, by)? })).collect()
}

fn facets(facets: Vec<port::Facet>) -> Vec<Facet> {
    let counts = |counts: Vec<(String, u64)>| {
        counts.into_iter().map(|(value, count)| Count { value, count: Long::of(count) }).collect()
    };
    facets.into_iter().map(|facet| Facet { name: facet.name, counts: counts(facet.counts) }).collect()
}
