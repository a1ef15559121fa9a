//! The key under which a command may be repeated.

use std::fmt;

use axum::extract::FromRequestParts;
use error::Error;
use http::{HeaderMap, HeaderName, request::Parts};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");

/// Marks the response to a repeated command; its value is `true`.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The `Idempotency-Key` of a command: 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Reads the header. Handlers that check existence first call this after it; others take it as an argument.
    ///
    /// # Errors
    ///
    /// [`error::Problem::MalformedHeader`]: missing, given twice, or not of the form.
    pub fn of(headers: &HeaderMap) -> Result<Self, Error> {
        let mut lines = headers.get_all(HEADER).iter();
        let fault = match (lines.next().map(http::HeaderValue::as_bytes), lines.next()) {
            (None, _) => "is missing",
            (_, Some(_)) => "is given more than once",
            (Some(key), None) => match Self::parse(key) {
                Some(key) => return Ok(key),
                None => "must be 1 to 255 visible ASCII characters",
            },
        };
        Err(Error::malformed_header("Idempotency-Key", fault))
    }

    /// Reads a key that comes otherwise than in the header; `None` where it is not of the form.
    pub fn parse(key: &[u8]) -> Option<Self> {
        let good = matches!(key.len(), 1..=255) && key.iter().all(u8::is_ascii_graphic);
        good.then(|| Self(String::from_utf8_lossy(key).into_owned()))
    }

    /// The key as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        Self::of(&parts.headers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&[u8]]) -> Result<IdempotencyKey, Error> {
        let value = |bytes: &&[u8]| (HEADER, http::HeaderValue::from_bytes(bytes).unwrap());
        let mut headers = HeaderMap::new();
        values.iter().map(value).for_each(|(name, value)| assert_eq!(headers.append(name, value), headers.len() > 1));
        IdempotencyKey::of(&headers)
    }

    #[test]
    fn keys_are_visible_ascii() {
        assert_eq!(read(&[b"a~!"]).unwrap().as_str(), "a~!");
        assert!(read(&[&[b'k'; 255]]).is_ok());
        let bad: [&[&[u8]]; 6] = [&[], &[b""], &[&[b'k'; 256]], &[b"a b"], &[b"\xc3\xa4"], &[b"a", b"a"]];
        for values in bad {
            assert_eq!(read(values).unwrap_err().problem(), error::Problem::MalformedHeader, "{values:?}");
        }
    }
}
