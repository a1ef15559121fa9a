//! Query parameters of lists, read strictly: an unknown or repeated one is refused.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use error::{Error, Location, Problem};
use http::Uri;
use percent_encoding::percent_decode_str;
use uuid::Uuid;

/// Format of the cursor: raised when its contents change, so that an old one is refused rather than misread.
const CURSOR_FORMAT: char = '1';

/// Which page of a list is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Items wanted, 1 to 100.
    pub limit: u32,
    /// The position after which the page begins, as the list itself writes it.
    pub cursor: Option<String>,
}

impl Page {
    /// Items of a page where nothing is said.
    pub const DEFAULT_LIMIT: u32 = 20;
    /// Most items of a page.
    pub const MAX_LIMIT: u32 = 100;

    /// Makes a position opaque for the client.
    pub fn seal(position: &str) -> String {
        URL_SAFE_NO_PAD.encode(format!("{CURSOR_FORMAT}{position}"))
    }

    /// The position in a cursor; `None` where it is not one of ours.
    pub fn open(cursor: &str) -> Option<String> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
        text.strip_prefix(CURSOR_FORMAT).map(str::to_owned)
    }
}

/// The query of a request. Ask for each known parameter, then [`Params::finish`].
#[derive(Debug)]
pub struct Params {
    pairs: Vec<(String, String)>,
    faults: Vec<(String, &'static str)>,
}

impl Params {
    /// Reads the query of a URI.
    pub fn of(uri: &Uri) -> Self {
        let mut params = Self { pairs: Vec::new(), faults: Vec::new() };
        let query = uri.query().unwrap_or_default();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match (decode(name), decode(value)) {
                (Some(name), Some(value)) => params.pairs.push((name, value)),
                (name, _) => params.faults.push((name.unwrap_or_default(), "is not UTF-8 in percent-encoding")),
            }
        }
        params
    }

    /// The value of a parameter.
    pub fn text(&mut self, name: &str) -> Option<String> {
        let (found, others): (Vec<_>, _) = std::mem::take(&mut self.pairs).into_iter().partition(|(n, _)| n == name);
        self.pairs = others;
        let mut values = found.into_iter().map(|(_, value)| value);
        let value = values.next()?;
        if values.next().is_some() {
            self.fault(name, "is given more than once");
        } else if value.contains(char::is_control) {
            self.fault(name, "must not contain control characters");
        }
        Some(value)
    }

    /// `limit` and `cursor`.
    pub fn page(&mut self) -> Page {
        let limit = self.limit();
        let cursor = self.text("cursor").map(|cursor| {
            Page::open(&cursor).unwrap_or_else(|| {
                self.fault("cursor", "is not one of ours");
                String::new()
            })
        });
        Page { limit, cursor }
    }

    /// `limit`, and `after`: the id behind which a page begins, of a list for programs, which go by ids that they know.
    pub fn page_after(&mut self) -> (u32, Option<Uuid>) {
        let limit = self.limit();
        let after = self.text("after").and_then(|text| {
            let id = Uuid::try_parse(&text).ok();
            if id.is_none() {
                self.fault("after", "must be a UUID");
            }
            id
        });
        (limit, after)
    }

    fn limit(&mut self) -> u32 {
        let Some(text) = self.text("limit") else { return Page::DEFAULT_LIMIT };
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = text.parse().ok().filter(|limit| digits && (1..=Page::MAX_LIMIT).contains(limit));
        number.unwrap_or_else(|| {
            self.fault("limit", "must be a number from 1 to 100");
            Page::DEFAULT_LIMIT
        })
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// [`Problem::MalformedParameter`], naming every unknown, repeated or unreadable parameter.
    pub fn finish(mut self) -> Result<(), Error> {
        for (name, _) in std::mem::take(&mut self.pairs) {
            self.fault(&name, "is not known");
        }
        if self.faults.is_empty() {
            return Ok(());
        }
        let refused = Error::new(Problem::MalformedParameter, "the query cannot be read");
        let at = |error: Error, (name, detail): (String, &str)| error.at(Location::Parameter(name), detail);
        Err(self.faults.into_iter().take(20).fold(refused, at))
    }

    fn fault(&mut self, name: &str, detail: &'static str) {
        self.faults.push((name.to_owned(), detail));
    }
}

fn decode(text: &str) -> Option<String> {
    let mut escapes = text.split('%').skip(1);
    let complete = |rest: &str| rest.as_bytes().get(..2).is_some_and(|two| two.iter().all(u8::is_ascii_hexdigit));
    if !escapes.all(complete) {
        return None;
    }
    let text = text.replace('+', " ");
    percent_decode_str(&text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(query: &str) -> Result<(Page, Option<String>), Error> {
        let mut params = Params::of(&format!("/v1/products{query}").parse().unwrap());
        let (page, text) = (params.page(), params.text("query"));
        params.finish()?;
        Ok((page, text))
    }

    #[test]
    fn defaults_and_values() {
        assert_eq!(page("").unwrap(), (Page { limit: 20, cursor: None }, None));
        let cursor = Page::seal("TEA-1");
        let (read, text) = page(&format!("?limit=100&cursor={cursor}&query=green+te%C3%A4")).unwrap();
        assert_eq!(read, Page { limit: 100, cursor: Some("TEA-1".into()) });
        assert_eq!(text.as_deref(), Some("green teä"));
    }

    #[test]
    fn a_page_may_begin_behind_an_id() {
        let page = |query: &str| {
            let mut params = Params::of(&format!("/internal{query}").parse().unwrap());
            let page = params.page_after();
            params.finish().map(|()| page)
        };
        let id = Uuid::from_u128(7);
        assert_eq!(page("").unwrap(), (20, None));
        assert_eq!(page(&format!("?after={id}&limit=3")).unwrap(), (3, Some(id)));
        for bad in ["?after=7", "?limit=101", "?cursor=x"] {
            assert!(page(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whatever_does_not_fit_is_refused_by_name() {
        let bad = [
            ("?limit=0", "limit"),
            ("?limit=101", "limit"),
            ("?limit=+5", "limit"),
            ("?limit=1.0", "limit"),
            ("?limit=", "limit"),
            ("?limit=5&limit=5", "limit"),
            ("?cursor=", "cursor"),
            ("?cursor=TEA", "cursor"),
            ("?page=2", "page"),
            ("?query=%00", "query"),
            ("?query=%ff", "query"),
            ("?query=50%", "query"),
            ("?query=%2", "query"),
            ("?query=%zz", "query"),
        ];
        for (query, name) in bad {
            let error = page(query).unwrap_err();
            assert_eq!(error.problem(), Problem::MalformedParameter, "{query}");
            assert_eq!(error.violations()[0].location, Location::Parameter(name.into()), "{query}");
        }
    }
}
