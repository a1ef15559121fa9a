//! Lists as Relay's cursor connections have them, with the cursors of the REST interface.

use async_graphql::{OutputType, SimpleObject};
use chassis::http::Page;
use error::Error;

use super::types::{Order, Product};

/// Where a page of a list begins and ends.
#[derive(SimpleObject)]
#[graphql(serial)]
pub(super) struct PageInfo {
    /// Whether there is more after this page.
    has_next_page: bool,
    /// Whether there is something before this page.
    has_previous_page: bool,
    /// The cursor of the first item.
    start_cursor: Option<String>,
    /// The cursor of the last item: `after` of the next page.
    end_cursor: Option<String>,
}

impl PageInfo {
    pub(super) fn new(
        has_next_page: bool,
        has_previous_page: bool,
        start_cursor: Option<String>,
        end_cursor: Option<String>,
    ) -> Self {
        Self { has_next_page, has_previous_page, start_cursor, end_cursor }
    }
}

/// An item of a list.
#[derive(SimpleObject)]
#[graphql(serial, concrete(name = "OrderEdge", params(Order)), concrete(name = "ProductEdge", params(Product)))]
pub(super) struct Edge<N: OutputType> {
    /// The item.
    node: N,
    /// Where it is in the list.
    cursor: String,
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(
    serial,
    concrete(name = "OrderConnection", params("Edge<Order>")),
    concrete(name = "ProductConnection", params("Edge<Product>"))
)]
pub(super) struct Connection<E: OutputType> {
    /// The page's items.
    edges: Vec<E>,
    /// Where the page begins and ends.
    page_info: PageInfo,
}

/// The page that is asked for.
///
/// # Errors
/// `first` is out of its range, or `after` is no cursor.
pub(super) fn page(first: Option<i32>, after: Option<&str>) -> Result<Page, Error> {
    let range = 1..=Page::MAX_LIMIT;
    let limit = match first {
        None => Page::DEFAULT_LIMIT,
        Some(first) => u32::try_from(first)
            .ok()
            .filter(|first| range.contains(first))
            .ok_or_else(|| Error::malformed_parameter("first", "must be a number from 1 to 100"))?,
    };
    let open = |after| Page::open(after).ok_or_else(no_cursor);
    Ok(Page { limit, cursor: after.map(open).transpose()? })
}

/// Where the page begins, as the list itself has it.
///
/// # Errors
/// The cursor is another list's.
pub(super) fn begin<T>(page: &Page, parse: impl FnOnce(&str) -> Result<T, Error>) -> Result<Option<T>, Error> {
    page.cursor.as_deref().map(parse).transpose().map_err(|_| no_cursor())
}

fn no_cursor() -> Error {
    Error::malformed_parameter("after", "is not one of ours")
}

/// What a page costs: each item that it may have.
pub(super) fn price(first: Option<i32>, item: usize) -> usize {
    let items = first.and_then(|first| usize::try_from(first).ok()).unwrap_or(Page::DEFAULT_LIMIT as usize);
    item.saturating_mul(items).saturating_add(10)
}

/// A page of `items`, which are one more than its limit where there is a next page; `position` gives that of an item.
pub(super) fn connection<T, N: OutputType>(
    page: &Page,
    items: Vec<T>,
    position: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Connection<Edge<N>>
where
    Edge<N>: OutputType,
{
    let limit = page.limit as usize;
    let has_next_page = items.len() > limit;
    let edge = |item| Edge { cursor: Page::seal(&position(&item)), node: node(item) };
    let edges: Vec<_> = items.into_iter().take(limit).map(edge).collect();
    let cursor = |edge: &Edge<N>| edge.cursor.clone();
    let (first, last) = (edges.first().map(cursor), edges.last().map(cursor));
    let page_info = PageInfo::new(has_next_page, page.cursor.is_some(), first, last);
    Connection { edges, page_info }
}
