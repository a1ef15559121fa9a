//! Operations that go away: each of their answers says so, and so does the description.

use std::{fmt::Write as _, future::ready};

use axum::{middleware::map_response, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, header::LINK};
use time::{Date, format_description::BorrowedFormatItem, macros::format_description};
use utoipa::openapi::{Deprecated, path::Operation};
use utoipa_axum::router::UtoipaMethodRouter;

/// RFC 9745, section 2.
pub(crate) const DEPRECATION: HeaderName = HeaderName::from_static("deprecation");

/// RFC 8594, section 3.
pub(crate) const SUNSET: HeaderName = HeaderName::from_static("sunset");

/// `IMF-fixdate` (RFC 9110, section 5.6.7), at midnight.
const MIDNIGHT: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] 00:00:00 GMT");

/// When operations go away, and what is there instead. Days begin at midnight, UTC.
#[derive(Clone, Copy, Debug)]
pub struct Deprecation {
    /// From when on nothing new should use them: `Deprecation` (RFC 9745).
    pub since: Date,
    /// When they end: `Sunset` (RFC 8594).
    pub sunset: Date,
    /// What to use instead, as a sentence; Markdown.
    pub instead: &'static str,
}

/// Deprecates the operations of one path: `.routes(deprecated(routes!(old), …))`.
pub fn deprecated<S: Clone + Send + Sync + 'static>(
    (schemas, mut paths, methods): UtoipaMethodRouter<S>,
    deprecation: Deprecation,
) -> UtoipaMethodRouter<S> {
    for item in paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
        operations.into_iter().flatten().for_each(|operation| deprecation.describe(operation));
    }
    let headers = deprecation.headers();
    let methods = methods.route_layer(map_response(move |mut response: Response| {
        response.headers_mut().extend(headers.clone());
        ready(response)
    }));
    (schemas, paths, methods)
}

impl Deprecation {
    fn describe(self, operation: &mut Operation) {
        operation.deprecated = Some(Deprecated::True);
        let Self { since, sunset, instead } = self;
        let description = operation.description.get_or_insert_default();
        let _ = write!(description, "\n\nDeprecated since {since}, gone on {sunset}. {instead}");
    }

    fn headers(self) -> HeaderMap {
        let since = format!("@{}", self.since.midnight().assume_utc().unix_timestamp());
        // A day of four digits has this form.
        let sunset = self.sunset.format(MIDNIGHT).unwrap_or_default();
        let link = "</docs>; rel=\"deprecation\"; type=\"text/html\"".to_owned();
        let headers = [(DEPRECATION, since), (SUNSET, sunset), (LINK, link)];
        headers.into_iter().filter_map(|(name, value)| Some((name, HeaderValue::try_from(value).ok()?))).collect()
    }
}
