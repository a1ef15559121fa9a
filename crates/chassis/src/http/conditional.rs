//! Conditional requests (RFC 9110, section 13): a resource's `ETag` is its version.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse as _, Response},
};
use error::{Error, Location, Problem};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{ETAG, IF_MATCH, IF_NONE_MATCH},
    request::Parts,
};

/// The `ETag` of a version.
pub fn etag(version: u64) -> HeaderValue {
    // Digits and quotes are header text.
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    weak: bool,
    text: String,
}

/// What a conditional header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition(Option<Vec<Tag>>);

impl Condition {
    /// Strong comparison, as `If-Match` wants: `*` matches any version, a weak tag none.
    pub fn matches(&self, version: u64) -> bool {
        let version = version.to_string();
        self.0.as_ref().is_none_or(|tags| tags.iter().any(|tag| !tag.weak && tag.text == version))
    }

    /// Weak comparison, as `If-None-Match` wants.
    fn matches_weakly(&self, version: u64) -> bool {
        let version = version.to_string();
        self.0.as_ref().is_none_or(|tags| tags.iter().any(|tag| tag.text == version))
    }
}

/// Reads all lines of a conditional header; `None` where there is none.
fn read(parts: &Parts, name: &HeaderName) -> Result<Option<Condition>, Error> {
    let malformed = || Error::malformed_header(canonical(name), "must be `*` or a list of entity tags such as `\"3\"`");
    let lines: Result<Vec<_>, _> = parts.headers.get_all(name).iter().map(HeaderValue::to_str).collect();
    let lines = lines.map_err(|_| malformed())?;
    if lines.is_empty() {
        return Ok(None);
    }
    parse(&lines.join(",")).map(Some).ok_or_else(malformed)
}

fn canonical(name: &HeaderName) -> &'static str {
    if name == IF_MATCH { "If-Match" } else { "If-None-Match" }
}

fn parse(value: &str) -> Option<Condition> {
    if value.trim() == "*" {
        return Some(Condition(None));
    }
    let mut tags = Vec::new();
    // Empty members of a list are ignored (RFC 9110, section 5.6.1.2).
    let separators = |c: char| c == ',' || c == ' ' || c == '\t';
    let mut rest = value.trim_start_matches(separators);
    loop {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (text, after) = quoted.strip_prefix('"')?.split_once('"')?;
        if !text.bytes().all(|b| b == 0x21 || (0x23..=0x7e).contains(&b)) {
            return None;
        }
        tags.push(Tag { weak, text: text.to_owned() });
        let after = after.trim();
        rest = after.trim_start_matches(separators);
        if rest.is_empty() {
            return Some(Condition(Some(tags)));
        }
        after.strip_prefix(',')?;
    }
}

/// The `If-Match` of a request, judged when the handler asks.
#[derive(Debug)]
pub struct IfMatch(Result<Option<Condition>, Error>);

impl IfMatch {
    /// The condition of a request that must have one.
    ///
    /// # Errors
    ///
    /// [`Problem::VersionRequired`] without, [`Problem::MalformedHeader`].
    pub fn required(self) -> Result<Condition, Error> {
        let missing = || {
            let location = Location::Header("If-Match".to_owned());
            Error::new(Problem::VersionRequired, "If-Match is missing: send the ETag that you have read")
                .at(location, "is missing")
        };
        self.0?.ok_or_else(missing)
    }

    /// The condition of a request that may have one.
    ///
    /// # Errors
    ///
    /// [`Problem::MalformedHeader`].
    pub fn optional(self) -> Result<Option<Condition>, Error> {
        self.0
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(read(parts, &IF_MATCH)))
    }
}

/// The `If-None-Match` of a request, judged when the handler answers.
#[derive(Debug)]
pub struct IfNoneMatch(Result<Option<Condition>, Error>);

impl IfNoneMatch {
    /// Answers 304 where the client has this version already.
    pub fn answer(self, version: u64, full: impl FnOnce() -> Response) -> Response {
        match self.0 {
            Ok(Some(condition)) if condition.matches_weakly(version) => {
                (StatusCode::NOT_MODIFIED, [(ETAG, etag(version))]).into_response()
            }
            Ok(_) => full(),
            Err(malformed) => malformed.into_response(),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self(read(parts, &IF_NONE_MATCH)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(value: &str) -> Condition {
        parse(value).unwrap_or_else(|| panic!("{value}"))
    }

    #[test]
    fn lists_and_stars_match() {
        assert!(condition("\"3\"").matches(3) && !condition("\"3\"").matches(4));
        assert!(condition(" \"1\" , \"x,y\",\"3\"").matches(3));
        assert!(condition("*").matches(9));
        assert!(condition(", \"1\",, \"3\" ,").matches(3), "empty members do not count");
    }

    #[test]
    fn a_weak_tag_never_matches_strongly() {
        assert!(!condition("W/\"3\"").matches(3));
        assert!(condition("W/\"3\"").matches_weakly(3));
    }

    #[test]
    fn what_is_no_tag_is_malformed() {
        for bad in ["", "3", "\"3", "3\"", "\"3\" \"4\"", ",", ", ,", "w/\"3\"", "*,\"3\"", "\"a b\""] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
