//! The `OpenAPI` 3.1 document of a service, from the descriptions beside its handlers, and a page that shows it.
//!
//! A handler says what is its own: parameters, body, successful answers, and under `x-problems` the refusals that only it
//! has. What follows from those (a body can be malformed, a token can have expired) and what all operations share is
//! added here, so that it is written once and forgotten nowhere.

mod complete;
pub(crate) mod deprecation;
mod html;
mod links;
mod parameters;
mod prune;
mod schemas;
mod texts;
mod walk;

use axum::{Router, response::IntoResponse as _, routing::get};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;

pub use self::{
    deprecation::{Deprecation, deprecated},
    parameters::{Conditional, Paged},
};
use crate::page::page_with;

const SCRIPT: &str = include_str!("openapi/try.js");

/// What a document says about the service.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// The service, in a few words.
    pub title: &'static str,
    /// What it is for, in sentences; Markdown.
    pub description: &'static str,
    /// Groups of operations: their names and what they are.
    pub tags: &'static [(&'static str, &'static str)],
}

/// Serves described routes together with their document (`/openapi.json`) and its page (`/docs`).
pub fn serve<S: Clone + Send + Sync + 'static>(about: About, routes: OpenApiRouter<S>) -> Router<S> {
    let (served, described) = routes.split_for_parts();
    // A description made of strings and numbers has a JSON form.
    let described = serde_json::to_value(described).unwrap_or_default();
    served.merge(pages("/openapi.json", "/docs", &complete::document(about, described)))
}

/// Serves a document at one path and its page at another.
pub fn pages<S: Clone + Send + Sync + 'static>(json_at: &str, page_at: &str, document: &Value) -> Router<S> {
    let json = Bytes::from(format!("{document:#}\n"));
    let title = document["info"]["title"].as_str().unwrap_or_default().to_owned();
    let body = Bytes::from(html::body(document, json_at));
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=300")];
    Router::new()
        .route(json_at, get(async move || (headers, json.clone()).into_response()))
        .route(page_at, get(async move || page_with(&title, &String::from_utf8_lossy(&body), SCRIPT)))
}
