//! Requests to a router without a network, and what comes back: for tests of a service's HTTP interface.
#![allow(
    clippy::panic,
    reason = "what a test expects and does not get has to fail it, and this crate is for tests only"
)]

use std::{convert::Infallible, fmt::Debug, future::Future, pin::Pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::Value;
use tower::{Service, ServiceExt as _};

type Answer = Pin<Box<dyn Future<Output = TestResponse> + Send>>;

/// A request to a router, built step by step and then sent.
///
/// The router is an `axum::Router`, or any service of the same shape.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use std::convert::Infallible;
///
/// use http::{Method, Request, Response, StatusCode};
/// use serde_json::json;
/// use testkit::http::TestRequest;
///
/// let router = tower::service_fn(async |request: Request<_>| {
///     let builder = Response::builder().status(StatusCode::CREATED).header("content-type", "application/json");
///     Ok::<_, Infallible>(builder.body(request.into_body()).unwrap())
/// });
/// let response = TestRequest::new(router, Method::POST, "/v1/orders")
///     .bearer("a token")
///     .header("idempotency-key", "k1")
///     .json(&json!({ "id": "o1" }))
///     .send()
///     .await
///     .expect(StatusCode::CREATED);
/// assert_eq!(response.id(), "o1");
/// # }
/// ```
#[must_use = "nothing happens before it is sent"]
pub struct TestRequest {
    request: Request<Full<Bytes>>,
    send: Box<dyn FnOnce(Request<Full<Bytes>>) -> Answer + Send>,
}

impl Debug for TestRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestRequest").field("request", &self.request).finish_non_exhaustive()
    }
}

impl TestRequest {
    /// Makes a request for `path`, which may have a query.
    ///
    /// # Panics
    ///
    /// When `path` is not one.
    #[track_caller]
    pub fn new<S, B>(router: S, method: Method, path: &str) -> Self
    where
        S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Debug,
    {
        let mut request = Request::new(Full::default());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let send = |request| -> Answer { Box::pin(send(router, request)) };
        Self { request, send: Box::new(send) }
    }

    /// Adds a header; what has the same name stays.
    ///
    /// # Panics
    ///
    /// When the name or the value is not one.
    #[track_caller]
    pub fn header<V>(mut self, name: &str, value: V) -> Self
    where
        V: TryInto<HeaderValue>,
        V::Error: Debug,
    {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let value = value.try_into().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        self.request.headers_mut().append(name, value);
        self
    }

    /// Shows an access token.
    #[track_caller]
    pub fn bearer(self, token: &str) -> Self {
        self.header(header::AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    /// Sends a JSON document.
    #[track_caller]
    pub fn json(self, body: &Value) -> Self {
        self.raw_json(body.to_string())
    }

    /// Sends what the content type says is JSON, whether it is or not.
    #[track_caller]
    pub fn raw_json(self, body: impl Into<Bytes>) -> Self {
        self.header(header::CONTENT_TYPE.as_str(), "application/json").body(body)
    }

    /// Sends bytes, without a content type.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        *self.request.body_mut() = Full::new(body.into());
        self
    }

    /// Sends it and reads the whole response.
    ///
    /// # Panics
    ///
    /// When the response cannot be read to its end, or says that it is JSON and is not.
    pub async fn send(self) -> TestResponse {
        (self.send)(self.request).await
    }
}

async fn send<S, B>(router: S, request: Request<Full<Bytes>>) -> TestResponse
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: http_body::Body<Data = Bytes>,
    B::Error: Debug,
{
    let Ok(response) = router.oneshot(request).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap_or_else(|error| panic!("the body broke off: {error:?}")).to_bytes();
    let content_type = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let body = if bytes.is_empty() || !content_type.is_some_and(|content| content.contains("json")) {
        Value::Null
    } else {
        serde_json::from_slice(&bytes).unwrap_or_else(|error| panic!("not JSON: {error}: {bytes:?}"))
    };
    TestResponse { status: head.status, headers: head.headers, body, bytes }
}

/// What a router answered.
#[derive(Clone, Debug)]
pub struct TestResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, or null where it is empty or not JSON.
    pub body: Value,
    /// The body as it came.
    pub bytes: Bytes,
}

impl TestResponse {
    /// Checks the status.
    ///
    /// # Panics
    ///
    /// When it is another.
    #[track_caller]
    pub fn expect(self, status: StatusCode) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }

    /// Returns a header that has to be there.
    ///
    /// # Panics
    ///
    /// When it is not there, or not text.
    #[track_caller]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{name} is missing: {self:?}"));
        value.to_str().unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the `ETag`.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    pub fn etag(&self) -> &str {
        self.header(header::ETAG.as_str())
    }

    /// Returns a member of the body that has to be text.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn text(&self, member: &str) -> &str {
        self.body[member].as_str().unwrap_or_else(|| panic!("{member} is not text: {self:?}"))
    }

    /// Returns the member `id`.
    ///
    /// # Panics
    ///
    /// When it is not there.
    #[track_caller]
    pub fn id(&self) -> String {
        self.text("id").to_owned()
    }

    /// Checks that it is a problem document (RFC 9457) with this status, complete and with the trace as its instance.
    ///
    /// # Panics
    ///
    /// When it is not.
    #[track_caller]
    pub fn problem(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        self.name();
        for member in ["title", "detail"] {
            self.text(member);
        }
        let trace = self.text("instance").strip_prefix("urn:trace:");
        assert!(trace.is_some_and(|trace| trace.len() == 32), "{self:?}");
        if status == 401 {
            assert_eq!(self.header("www-authenticate"), "Bearer");
        }
        self
    }

    /// Returns the problem's name: the end of its `type`.
    ///
    /// # Panics
    ///
    /// When the type is another one.
    #[track_caller]
    pub fn name(&self) -> &str {
        self.text("type").strip_prefix("/problems/").unwrap_or_else(|| panic!("no type of ours: {self:?}"))
    }

    /// Returns the problem document without its instance, which differs from request to request.
    pub fn without_instance(&self) -> Value {
        let mut body = self.body.clone();
        if let Some(members) = body.as_object_mut() {
            members.remove("instance");
        }
        body
    }

    /// Returns what is at fault, in the order of the problem document: the pointer of a field, the name of a parameter
    /// or of a header.
    ///
    /// # Panics
    ///
    /// When one of the `errors` has not exactly one of the three, or no detail.
    #[track_caller]
    pub fn faults(&self) -> Vec<&str> {
        self.located().into_iter().map(|(_, name)| name).collect()
    }

    /// Returns the kinds of what is at fault, in the same order: `pointer`, `parameter`, `header`.
    ///
    /// # Panics
    ///
    /// As [`Self::faults`].
    #[track_caller]
    pub fn fault_kinds(&self) -> Vec<&'static str> {
        self.located().into_iter().map(|(kind, _)| kind).collect()
    }

    #[track_caller]
    fn located(&self) -> Vec<(&'static str, &str)> {
        let mut located = Vec::new();
        for error in self.body["errors"].as_array().into_iter().flatten() {
            assert!(error["detail"].is_string(), "{self:?}");
            let kinds = ["pointer", "parameter", "header"].into_iter();
            let found: Vec<_> = kinds.filter_map(|kind| Some((kind, error[kind].as_str()?))).collect();
            assert!(found.len() == 1, "{self:?}");
            located.extend(found);
        }
        located
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Answers with the status, content type and body that the request's headers and body say.
    async fn ask(status: u16, content_type: &str, body: impl Into<Bytes> + Send) -> TestResponse {
        let echo = async |request: Request<Full<Bytes>>| {
            let (head, body) = request.into_parts();
            let mut response = Response::new(body);
            *response.status_mut() = head.headers["x-status"].to_str().unwrap().parse::<StatusCode>().unwrap();
            response.headers_mut().insert(header::CONTENT_TYPE, head.headers["x-type"].clone());
            Ok::<_, Infallible>(response)
        };
        let request = TestRequest::new(tower::service_fn(echo), Method::POST, "/v1/things?limit=1");
        request.header("x-status", status.to_string()).header("x-type", content_type).body(body).send().await
    }

    fn problem() -> Value {
        json!({
            "type": "/problems/invalid", "title": "Invalid", "status": 422, "detail": "two fields",
            "instance": format!("urn:trace:{:032}", 7),
            "errors": [
                { "pointer": "/items/0", "detail": "is missing" },
                { "header": "idempotency-key", "detail": "is too long" },
            ],
        })
    }

    #[tokio::test]
    async fn a_problem_is_read_with_its_faults() {
        let response = ask(422, "application/problem+json", problem().to_string()).await;
        let response = response.expect(StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(response.problem(422).faults(), ["/items/0", "idempotency-key"]);
        assert_eq!(response.name(), "invalid");
        assert_eq!(response.fault_kinds(), ["pointer", "header"]);
        assert!(response.without_instance().get("instance").is_none());
    }

    #[tokio::test]
    async fn a_body_that_is_not_json_is_bytes_only() {
        let response = ask(200, "text/plain", "7").await;
        assert_eq!((&response.body, &response.bytes[..]), (&Value::Null, &b"7"[..]));
    }

    #[tokio::test]
    #[should_panic(expected = "not JSON")]
    async fn what_says_that_it_is_json_has_to_be() {
        ask(200, "application/json", "{").await;
    }

    #[tokio::test]
    #[should_panic(expected = "type is not text")]
    async fn a_problem_without_a_type_is_none() {
        let mut document = problem();
        document["type"] = Value::Null;
        ask(422, "application/problem+json", document.to_string()).await.problem(422);
    }

    #[tokio::test]
    #[should_panic(expected = "www-authenticate is missing")]
    async fn a_missing_token_says_how_to_show_one() {
        let mut document = problem();
        document["status"] = json!(401);
        ask(401, "application/problem+json", document.to_string()).await.problem(401);
    }
}
