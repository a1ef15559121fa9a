//! What REST and GraphQL have in common of a search: parameters, cursors, and what is highlighted.

use std::fmt::Write as _;

use chassis::http::Page;
use error::Error;
use money::Currency;
use uuid::Uuid;

use crate::{
    app::{
        ports::search::{OrderSearch, OrderSort, ProductSearch, ProductSort, Rank},
        search::Searcher,
    },
    domain::{
        product::Product,
        search::{self, Query},
        status::Status,
        values::Price,
    },
};

/// What a cursor of a search begins with, so that another list's is refused.
const CURSOR_PREFIX: &str = "search";
/// The highest score that a search server gives: a single.
const MAX_SCORE: f64 = 3.402_823_466e38;
/// The most bytes of a text that are shown around what was found.
const FRAGMENT: usize = 240;

/// What the sorts of products are called.
pub(super) const PRODUCT_SORTS: [(&str, ProductSort); 4] = [
    ("relevance", ProductSort::Relevance),
    ("price", ProductSort::PriceUp),
    ("-price", ProductSort::PriceDown),
    ("newest", ProductSort::Newest),
];
/// What the sorts of orders are called.
pub(super) const ORDER_SORTS: [(&str, OrderSort); 4] = [
    ("newest", OrderSort::Newest),
    ("oldest", OrderSort::Oldest),
    ("total", OrderSort::TotalUp),
    ("-total", OrderSort::TotalDown),
];

/// Where a page of a search begins: who has searched, and after what.
pub(super) struct Begin {
    pub(super) by: Searcher,
    pub(super) rank: Rank,
}

/// The words of a query.
pub(super) fn query(text: &str) -> Result<Query, Error> {
    Query::parse(text).map_err(|why| Error::malformed_parameter("query", why))
}

/// A currency by its code.
pub(super) fn currency(code: Option<&str>) -> Result<Option<Currency>, Error> {
    let parse =
        |code| Currency::parse(code).map_err(|_| Error::malformed_parameter("currency", "must be one of ISO 4217"));
    code.map(parse).transpose()
}

/// A bound of the price.
pub(super) fn price(name: &str, minor: Option<i64>) -> Result<Option<i64>, Error> {
    minor.map(|minor| Price::amount(minor).map_err(|why| Error::malformed_parameter(name, why))).transpose()
}

/// Statuses by their names, separated by commas.
pub(super) fn statuses(names: &str) -> Result<Vec<Status>, Error> {
    let shown = |name: &str| Status::named(name).filter(|status| status.public_name() == name);
    let parse = |name| shown(name).ok_or_else(|| Error::malformed_parameter("status", "must be statuses of orders"));
    names.split(',').map(parse).collect()
}

/// A sort by its name; the first where nothing is said.
pub(super) fn sort<T: Copy + Default>(name: Option<&str>, sorts: &[(&str, T)]) -> Result<T, Error> {
    let Some(name) = name else { return Ok(T::default()) };
    let found = sorts.iter().find(|(known, _)| *known == name).map(|(_, sort)| *sort);
    let names = || sorts.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    found.ok_or_else(|| Error::malformed_parameter("sort", format!("must be one of {}", names())))
}

/// The name of a sort.
pub(super) fn sort_name<T: PartialEq>(sort: &T, sorts: &[(&'static str, T)]) -> &'static str {
    sorts.iter().find(|(_, known)| known == sort).map_or("", |(name, _)| name)
}

/// The position of the page after something that was found.
pub(super) fn position(by: Searcher, sort: &str, rank: Rank) -> String {
    let by = match by {
        Searcher::Store => "store",
        Searcher::Server => "server",
    };
    format!("{CURSOR_PREFIX}:{by}:{sort}:{:?}:{}", rank.key, rank.id)
}

/// Where the page begins: `None` where its position is none of this search with this sort.
#[expect(clippy::option_option, reason = "a page without a position is not one whose position does not fit")]
pub(super) fn begin(page: &Page, sort: &str) -> Option<Option<Begin>> {
    let Some(position) = &page.cursor else { return Some(None) };
    let mut parts = position.strip_prefix(CURSOR_PREFIX)?.strip_prefix(':')?.split(':');
    let by = match parts.next()? {
        "store" => Searcher::Store,
        "server" => Searcher::Server,
        _ => return None,
    };
    if parts.next()? != sort {
        return None;
    }
    // Only what is sorted by relevance has other keys than whole numbers that a double can tell apart.
    let fits = |key: &f64| {
        if sort == "relevance" { key.abs() <= MAX_SCORE } else { key.fract() == 0.0 && key.abs() < 2_f64.powi(53) }
    };
    let key = parts.next()?.parse().ok().filter(fits)?;
    let id = Uuid::try_parse(parts.next()?).ok()?;
    parts.next().is_none().then_some(Some(Begin { by, rank: Rank { key, id } }))
}

/// Begins a search of products where the page does.
///
/// # Errors
/// The page's cursor, the parameter `name`, is none of this search.
pub(super) fn products_after(search: &mut ProductSearch, page: &Page, name: &str) -> Result<Option<Searcher>, Error> {
    let begin = begin(page, sort_name(&search.sort, &PRODUCT_SORTS)).ok_or_else(|| no_cursor(name))?;
    (search.limit, search.after) = (page.limit, begin.as_ref().map(|begin| begin.rank));
    Ok(begin.map(|begin| begin.by))
}

/// Begins a search of orders where the page does.
///
/// # Errors
/// The page's cursor, the parameter `name`, is none of this search.
pub(super) fn orders_after(search: &mut OrderSearch, page: &Page, name: &str) -> Result<(), Error> {
    let begin = begin(page, sort_name(&search.sort, &ORDER_SORTS)).ok_or_else(|| no_cursor(name))?;
    (search.limit, search.after) = (page.limit, begin.map(|begin| begin.rank));
    Ok(())
}

fn no_cursor(name: &str) -> Error {
    Error::malformed_parameter(name, "is not one of ours, or of another search")
}

/// The texts of a product that are searched, and what they are called.
pub(super) fn texts(product: &Product) -> [(&'static str, &str); 3] {
    [("sku", product.sku.as_str()), ("name", product.name.as_str()), ("description", product.description.as_str())]
}

/// The text as HTML, in which what was searched for is marked with `em`; `None` where it has none of it.
pub(super) fn highlight(text: &str, query: &Query, by: Searcher) -> Option<String> {
    let mut html = String::new();
    for part in search::highlight(text, query, by == Searcher::Server, FRAGMENT)? {
        let text = escape(part.text);
        // Into a string: it does not fail.
        let _ = if part.is_match { write!(html, "<em>{text}</em>") } else { write!(html, "{text}") };
    }
    Some(html)
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cursor_belongs_to_its_search() {
        let rank = Rank { key: 8.626_595_5, id: Uuid::from_u128(7) };
        let page = |position: &str| Page { limit: 1, cursor: Some(position.to_owned()) };
        let own = page(&position(Searcher::Server, "relevance", rank));
        let read = begin(&own, "relevance").unwrap().unwrap();
        assert_eq!((read.by, read.rank), (Searcher::Server, rank));
        assert!(begin(&own, "price").is_none());
        for bad in ["sku:a", "search:server:price:1", "search:nobody:price:1:x", "search:server:price:inf:0"] {
            assert!(begin(&page(bad), "price").is_none(), "{bad}");
        }
        assert!(begin(&Page { limit: 1, cursor: None }, "price").unwrap().is_none());
    }

    #[test]
    fn what_is_highlighted_is_html() {
        let query = query("mug b").unwrap();
        let html = highlight("<b>Mug</b> & \"more\"", &query, Searcher::Store).unwrap();
        assert_eq!(html, "&lt;<em>b</em>&gt;<em>Mug</em>&lt;/<em>b</em>&gt; &amp; &quot;more&quot;");
        assert_eq!(highlight("Cup", &query, Searcher::Store), None);
    }

    #[test]
    fn internal_statuses_have_no_name() {
        assert_eq!(statuses("pending,confirmed").unwrap(), [Status::Pending, Status::Confirmed]);
        assert!(statuses("abandoning").is_err() && statuses("").is_err());
    }

    #[test]
    fn a_made_up_position_is_none() {
        let begins = |sort: &str, key: &str| {
            let cursor = Some(format!("{CURSOR_PREFIX}:server:{sort}:{key}:{}", Uuid::nil()));
            begin(&Page { limit: 1, cursor }, sort).is_some()
        };
        for (sort, key) in [("price", "1450.0"), ("newest", "1.7e15"), ("relevance", "0.7"), ("total", "-1")] {
            assert!(begins(sort, key), "{sort} {key}");
        }
        // No field that is sorted by has a number as large or with a fraction: the server would refuse it.
        for (sort, key) in [("price", "1e19"), ("-price", "0.5"), ("newest", "-1e300"), ("relevance", "1e300")] {
            assert!(!begins(sort, key), "{sort} {key}");
        }
        assert!(!begins("price", "NaN") && !begins("relevance", "inf") && !begins("price", ""));
    }
}
