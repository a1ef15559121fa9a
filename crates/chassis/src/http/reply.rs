//! Uniform responses: one resource with its `ETag`, or a page of a list.

use axum::{
    Json,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header::ETAG};
use serde::Serialize;

use super::{Page, etag};

/// Answers with one resource.
pub fn resource(status: StatusCode, version: u64, view: &impl Serialize) -> Response {
    (status, [(ETAG, etag(version))], Json(view)).into_response()
}

/// A page of a list.
#[derive(Debug, Serialize)]
pub struct Listed<V> {
    items: Vec<V>,
    next_cursor: Option<String>,
}

impl<V> Listed<V> {
    /// Makes a page. `items` are one more than the page's limit where there is a next page; `position` gives that of an item.
    pub fn new<T>(
        page: &Page,
        items: impl IntoIterator<Item = T>,
        view: impl Fn(T) -> V,
        position: impl Fn(&T) -> String,
    ) -> Self {
        let mut items = items.into_iter();
        let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let shown: Vec<T> = items.by_ref().take(limit).collect();
        let next = items.next().and(shown.last());
        let next_cursor = next.map(|last| Page::seal(&position(last)));
        Self { items: shown.into_iter().map(view).collect(), next_cursor }
    }
}

/// Answers with a page, as [`Listed::new`] makes it.
pub fn list<T, V: Serialize>(
    page: &Page,
    items: impl IntoIterator<Item = T>,
    view: impl Fn(T) -> V,
    position: impl Fn(&T) -> String,
) -> Response {
    Json(Listed::new(page, items, view, position)).into_response()
}
