//! A request's body, not read before the handler asks: identity, existence and headers are refused first.

use std::convert::Infallible;

use axum::{
    body::{Body, HttpBody as _},
    extract::FromRequest,
};
use bytes::Bytes;
use error::{Error, Problem};
use http::{
    HeaderMap, HeaderValue, Request,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use crate::json::{self, Node};

/// The largest body that is read: 1 MiB.
pub const BODY_LIMIT: usize = 1024 * 1024;

/// An unread body.
#[derive(Debug)]
pub struct Payload {
    is_json: bool,
    limit: usize,
    body: Body,
}

impl<S: Sync> FromRequest<S> for Payload {
    type Rejection = Infallible;

    async fn from_request(request: Request<Body>, _: &S) -> Result<Self, Infallible> {
        let headers = request.headers();
        let is_json = only(headers).is_some_and(is_json) && !is_coded(headers);
        Ok(Self { is_json, limit: BODY_LIMIT, body: request.into_body() })
    }
}

impl Payload {
    /// Takes no more than so many bytes, where less than [`BODY_LIMIT`] is enough.
    pub fn at_most(self, limit: usize) -> Self {
        Self { limit, ..self }
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    ///
    /// [`Problem::UnsupportedMediaType`], [`Problem::BodyTooLarge`] or [`Problem::MalformedBody`], in this order.
    pub async fn json(self) -> Result<Node, Error> {
        json::parse(&self.json_bytes().await?)
    }

    /// Reads the body, which says that it is JSON, without parsing it.
    ///
    /// # Errors
    ///
    /// [`Problem::UnsupportedMediaType`], [`Problem::BodyTooLarge`] or [`Problem::MalformedBody`].
    pub async fn json_bytes(self) -> Result<Bytes, Error> {
        if !self.is_json {
            return Err(Error::new(Problem::UnsupportedMediaType, "the body must be application/json"));
        }
        self.bytes().await
    }

    /// Reads the body as JSON, where there is one: `None` for a request that ends with its head.
    ///
    /// # Errors
    ///
    /// As [`Payload::json`].
    pub async fn optional_json(self) -> Result<Option<Node>, Error> {
        if self.body.is_end_stream() { Ok(None) } else { self.json().await.map(Some) }
    }

    /// Reads the body as it is.
    ///
    /// # Errors
    ///
    /// [`Problem::BodyTooLarge`], or [`Problem::MalformedBody`] where the client stops in the middle.
    pub async fn bytes(self) -> Result<Bytes, Error> {
        let read = Limited::new(self.body, self.limit).collect().await;
        read.map(http_body_util::Collected::to_bytes).map_err(|cause| {
            if cause.is::<LengthLimitError>() {
                Error::new(Problem::BodyTooLarge, format!("the body must be at most {} KiB", self.limit / 1024))
            } else {
                Error::new(Problem::MalformedBody, "the body is incomplete")
            }
        })
    }
}

/// The content type, where there is exactly one.
fn only(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut lines = headers.get_all(CONTENT_TYPE).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// Whether the body is compressed or otherwise not what its type says (RFC 9110, section 8.4: 415).
fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(CONTENT_ENCODING).iter();
    codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

/// `application/json`, with no charset or with UTF-8.
fn is_json(value: &HeaderValue) -> bool {
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    let mut segments = text.split(';').map(str::trim);
    let charset = |parameter: &str| match parameter.split_once('=') {
        Some(("charset", name)) => name.trim_matches('"') == "utf-8",
        _ => true,
    };
    segments.next() == Some("application/json") && segments.all(charset)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(content_type: Option<&str>, body: impl Into<Body>) -> Result<Node, Error> {
        let mut request = Request::new(body.into());
        if let Some(value) = content_type {
            request.headers_mut().insert(CONTENT_TYPE, value.parse().unwrap());
        }
        let Ok(payload) = Payload::from_request(request, &()).await;
        payload.json().await
    }

    #[tokio::test]
    async fn only_json_is_read() {
        for good in ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""] {
            assert!(read(Some(good), "{}").await.is_ok(), "{good}");
        }
        for bad in ["text/plain", "application/jsonx", "application/json; charset=latin1", ""] {
            assert_eq!(read(Some(bad), "{}").await.unwrap_err().problem(), Problem::UnsupportedMediaType, "{bad}");
        }
        assert_eq!(read(None, "{}").await.unwrap_err().problem(), Problem::UnsupportedMediaType);
    }

    #[tokio::test]
    async fn a_body_that_may_be_left_out_is_read_where_there_is_one() {
        let read = async |content_type: Option<&str>, body: Body| {
            let mut request = Request::new(body);
            if let Some(value) = content_type {
                request.headers_mut().insert(CONTENT_TYPE, value.parse().unwrap());
            }
            let Ok(payload) = Payload::from_request(request, &()).await;
            payload.optional_json().await.map_err(|error| error.problem())
        };
        assert_eq!(read(None, Body::empty()).await, Ok(None));
        assert_eq!(read(Some("application/json"), Body::empty()).await, Ok(None));
        assert_eq!(read(Some("application/json"), "1".into()).await, Ok(Some(Node::Integer(1))));
        assert_eq!(read(Some("application/json"), "{".into()).await, Err(Problem::MalformedBody));
        assert_eq!(read(None, "1".into()).await, Err(Problem::UnsupportedMediaType));
    }

    #[tokio::test]
    async fn a_mebibyte_and_no_more() {
        let text = |length: usize| format!("\"{}\"", "x".repeat(length - 2));
        assert!(read(Some("application/json"), text(BODY_LIMIT)).await.is_ok());
        let refused = read(Some("application/json"), text(BODY_LIMIT + 1)).await;
        assert_eq!(refused.unwrap_err().problem(), Problem::BodyTooLarge);
    }
}
